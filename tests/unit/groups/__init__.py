"""Unit tests of groups: no database."""
