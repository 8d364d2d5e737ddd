"""Reads of trading. They never write and never lock."""
