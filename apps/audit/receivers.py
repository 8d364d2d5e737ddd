"""
What follows a migration: the triggers that keep rows stay deaf to the setting that would switch them off.

The library of triggers lets any session name triggers to be ignored, by a setting that every database role
may set. Each migration of a trigger brings that function anew, so it is replaced after every migration.
"""

from typing import Any

from django.db import connections

NEVER = """
    CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean
    LANGUAGE sql IMMUTABLE AS 'SELECT FALSE'
"""


def keep_triggers(using: str, **_kwargs: Any) -> None:
    """Let no session switch a trigger off."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regprocedure('public._pgtrigger_should_ignore(name)') IS NOT NULL")
        if cursor.fetchone()[0]:
            cursor.execute(NEVER)
