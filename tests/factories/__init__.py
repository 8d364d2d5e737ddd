"""Builders of values and rows for tests."""
