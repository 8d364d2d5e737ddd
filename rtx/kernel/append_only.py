"""What keeps a table append-only: the trigger, and the id of the writing transaction. No model lives here."""

import pgtrigger
from django.db.models import Func


class CurrentTransactionId(Func):
    """The database's id of the present transaction."""

    function = "pg_current_xact_id"
    template = "%(function)s()"


def append_only(name: str) -> list[pgtrigger.Trigger]:
    """Return the trigger that refuses every update, delete and truncate statement on a table."""
    return [
        pgtrigger.Trigger(
            name=name,
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            operation=pgtrigger.Update | pgtrigger.Delete | pgtrigger.Truncate,
            func="RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME;",
        )
    ]
