"""Reads of the market."""
