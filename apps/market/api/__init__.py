"""Trader REST of the market."""
