"""Writes of groups."""
