"""Writes of `funds`."""
