"""
The soak: a recorded day is replayed fast while many accounts trade against a whole running broker; then
everything is checked. `python -m tests.soak --help`, or `make soak`.
"""
