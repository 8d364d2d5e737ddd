"""
Turns what changed here into what links want to send: rows that the database noted, and the journal for money
and activity. Calls nobody.
"""


def dispatch() -> int:
    """Ask the links of every connection for what changed since the last time; return how many were asked."""
    raise NotImplementedError
