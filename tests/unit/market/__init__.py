"""Unit tests of the market: no database."""
