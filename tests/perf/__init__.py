"""Measures RTX on this machine: `python -m tests.perf` prints a table and writes `bench.json`."""
