"""Tests of the market against real PostgreSQL and Redis."""
