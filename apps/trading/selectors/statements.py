"""
Reads what a statement is made of, in one snapshot: events, their ledger lines, and the quotes stored then.

Adds nothing up itself: `Compiler` does, and compares the journal with the ledger event by event.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings
from django.db import connection
from psycopg import Cursor, ServerCursor

from apps.accounts.models import TradingAccount
from apps.groups.domain.terms import PositionMode
from apps.trading.domain.holdings import Account
from apps.trading.domain.statement_compiler import Compiler, Views
from apps.trading.domain.statements import Heading, JournalEvent, Period, Statement, curve_instants, cuts
from apps.trading.selectors import verification

ROWS_AT_ONCE = 1000
TIMES = "SELECT seq, at FROM accounts_accountevent WHERE account_id = %s ORDER BY seq"
EVENTS = """
    SELECT e.seq, e.type, e.at, e.payload::text, coalesce(l.client, 0), coalesce(l.credit, 0)
    FROM accounts_accountevent e
    LEFT JOIN LATERAL (
        SELECT sum(amount) FILTER (WHERE ledger = 'client') AS client,
               sum(amount) FILTER (WHERE ledger = 'credit') AS credit
        FROM accounts_ledgerline WHERE event_id = e.id
    ) l ON e.seq > %(after)s
    WHERE e.account_id = %(account)s AND e.seq <= %(last)s ORDER BY e.seq
"""


def heading(account: TradingAccount, *, now: datetime, shows_holder: bool) -> Heading:
    """Return whose statement it is; the holder's name only for readers who may see it."""
    return Heading(
        broker=settings.SITE_NAME,
        holder=account.client.full_name if shows_holder else "",
        login=account.login,
        group=account.group.name,
        currency=account.currency,
        position_mode=account.position_mode,
        generated_at=now,
    )


def statement(account: TradingAccount, *, period: Period, now: datetime) -> Statement:
    """
    Return an account's statement of a period; what has not happened yet is left out.

    :raises Divergence: the journal does not replay.
    :raises Difference: journal, ledger and statement do not agree. Nothing is shown then.
    """
    facts = Account(
        id=account.pk,
        login=account.login,
        group_id=account.group_id,
        currency=account.currency,
        position_mode=PositionMode(account.position_mode),
        leverage=account.leverage,
    )
    with verification.snapshot() as cursor:
        cursor.execute(TIMES, (account.pk,))
        points = cuts(cursor.fetchall(), curve_instants(period, until=now))
        compiler = Compiler(
            account=facts, period=period, points=points, views=_views(account, [point.at for point in points])
        )
        return compiler.compile(_events(cursor, account.pk, after=points[0].seq, last=points[-1].seq))


def _events(cursor: Cursor[Any], account_id: int, *, after: int, last: int) -> Iterator[JournalEvent]:
    """Yield an account's events up to `last`, with ledger lines for those after `after`."""
    with ServerCursor(connection.connection, "statement") as rows:
        rows.itersize = ROWS_AT_ONCE
        rows.execute(EVENTS, {"account": account_id, "after": after, "last": last})
        for seq, type_, at, payload, client, credit in rows:
            yield JournalEvent(seq, type_, at, orjson.loads(payload), client, credit)


def _views(account: TradingAccount, instants: list[datetime]) -> Views:
    return lambda at: None
