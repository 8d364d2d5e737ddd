"""Writes of trading: every one is a command that the executor runs."""
