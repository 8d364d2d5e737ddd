"""Reads of `funds`."""
