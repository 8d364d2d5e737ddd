"""Writes of the console: seeding the demo broker."""
