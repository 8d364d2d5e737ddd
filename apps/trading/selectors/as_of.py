"""
Accounts and markets as of an instant in the past. Changes nothing; what was, is derived from the journal,
the tick history and the history of the configuration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, transaction
from psycopg import Cursor, ServerCursor

from apps.groups.domain.terms import PositionMode
from apps.groups.selectors import terms_book_at
from apps.market.selectors.history_quotes import PastQuote, quotes_at
from apps.trading.domain.holdings import Account
from apps.trading.domain.replaying import Replay
from apps.trading.selectors.markets import Markets
from apps.trading.selectors.moves import moves_of
from apps.trading.selectors.rows import Loaded, load_accounts

# The executor takes an event's time under this lock: once it is ours, no older event can still appear.
LOCK = """
    SELECT account_id FROM accounts_accountstate WHERE account_id = ANY(%s) ORDER BY account_id FOR SHARE
"""
CHANGED_SINCE = """
    SELECT DISTINCT account_id FROM accounts_accountevent WHERE account_id = ANY(%s) AND at > %s
"""
# Cut by `seq`: the clocks of two hosts may tell two neighboring events in the other order.
EVENTS_UNTIL = """
    SELECT e.account_id, e.seq, e.type, e.payload::text FROM accounts_accountevent e
    JOIN (
        SELECT account_id, max(seq) AS seq FROM accounts_accountevent
        WHERE account_id = ANY(%s) AND at <= %s GROUP BY account_id
    ) AS last ON last.account_id = e.account_id AND e.seq <= last.seq
    ORDER BY e.account_id, e.seq
"""


EVENTS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class PastMarkets:
    """Every group's view of an instant, and the quotes it was made of."""

    views: Markets
    quotes: dict[str, PastQuote]


def markets_at(at: datetime) -> PastMarkets:
    """Return prices, terms and sessions as they were at an instant."""
    found = quotes_at(at)
    book = terms_book_at(at)
    views = Markets(book=book, now=at, quotes={name: past.quote for name, past in found.items()})
    return PastMarkets(views=views, quotes=found)


def accounts_at(account_ids: Sequence[int], *, at: datetime) -> dict[int, Loaded]:
    """
    Return accounts with what they held at an instant, by id; one that was not yet opened is left out.

    Holds up the accounts' writers only while it looks who has changed since and reads those that have not:
    once the lock was ours, nothing older than the instant can be added, so journals are read without it.
    """
    ids = list(account_ids)
    with transaction.atomic():
        cursor = Cursor(connection.connection)
        cursor.execute(LOCK, (ids,))
        cursor.execute(CHANGED_SINCE, (ids, at))
        changed = [row[0] for row in cursor.fetchall()]
        found = load_accounts(cursor, ids)
    present = {account_id: found.pop(account_id).account for account_id in changed}
    if present:
        found.update(_replayed(present, at))
    return found


def _replayed(present: dict[int, Account], at: datetime) -> dict[int, Loaded]:
    """Derive accounts from their journals up to an instant, in portions: a journal may be long."""
    replays: dict[int, Replay] = {}
    moves = moves_of(list(present))
    with transaction.atomic(), ServerCursor(connection.connection, "rtx_replay") as cursor:
        cursor.itersize = EVENTS_AT_ONCE
        cursor.execute(EVENTS_UNTIL, (list(present), at))
        for account_id, seq, type_, payload_text in cursor:
            payload = orjson.loads(payload_text)
            if type_ == "account_opened":
                left = moves.get(account_id)
                first = left[0].group_id if left else present[account_id].group_id
                replays[account_id] = _opened(present[account_id], payload, group_id=first)
            replays[account_id].replay(seq=seq, type_=type_, payload=payload)
    return {
        account_id: Loaded(
            told.account,
            sorted(told.positions.values(), key=lambda position: position.id),
            sorted(told.orders.values(), key=lambda order: order.id),
        )
        for account_id, told in replays.items()
    }


def _opened(present: Account, payload: dict[str, Any], *, group_id: int) -> Replay:
    return Replay(
        account=Account(
            id=present.id,
            login=payload["login"],
            group_id=group_id,
            currency=payload["currency"],
            position_mode=PositionMode(payload["position_mode"]),
            leverage=payload["leverage"],
        )
    )
