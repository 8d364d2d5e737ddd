"""
RTX on one machine: embedded PostgreSQL and Redis, and the real processes around them.

Used by `make run`, the tests, the end-to-end tests and the benchmark. Nothing in `apps/` or in the settings
may import it, and nothing here imports Django: every process of RTX is started as a process, with its
settings in the environment.
"""
