"""
Reads what a statement is made of, in one snapshot: events, their ledger lines, and the quotes stored then.

Adds nothing up itself: `Compiler` does, and compares the journal with the ledger event by event.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings
from django.db import connection
from psycopg import Cursor, ServerCursor

from apps.accounts.models import TradingAccount
from apps.groups.domain.terms import PositionMode
from apps.groups.selectors import TermsBook, terms_book_at
from apps.market.models import ConfigurationChange
from apps.market.selectors.history_quotes import quotes_at
from apps.trading.domain.holdings import Account
from apps.trading.domain.orders import Position
from apps.trading.domain.pricing import MarketView
from apps.trading.domain.statement_compiler import Compiler
from apps.trading.domain.statements import Heading, JournalEvent, Period, Statement, curve_instants, cuts
from apps.trading.selectors import verification
from apps.trading.selectors.markets import Markets, conversions
from apps.trading.selectors.moves import group_at, moves_of

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

    :raises PeriodInvalid: the period has not begun.
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
        views = _Past(account, since=period.start)
        compiler = Compiler(account=facts, period=period, points=points, views=views)
        return compiler.compile(_events(cursor, account.pk, after=points[0].seq, last=points[-1].seq))


def _events(cursor: Cursor[Any], account_id: int, *, after: int, last: int) -> Iterator[JournalEvent]:
    """Yield an account's events up to `last`, with ledger lines for those after `after`."""
    with ServerCursor(connection.connection, "statement") as rows:
        rows.itersize = ROWS_AT_ONCE
        rows.execute(EVENTS, {"account": account_id, "after": after, "last": last})
        for seq, type_, at, payload, client, credit in rows:
            yield JournalEvent(seq, type_, at, orjson.loads(payload), client, credit)


class _Past:
    """
    The market as an account saw it at instants of the past: the quotes stored then, under the terms of then,
    in the group that it was in.

    Terms are read once for each span of time in which no configuration changed; quotes only of what values
    the positions: the symbols held and the pairs that convert their profit.
    """

    def __init__(self, account: TradingAccount, *, since: datetime) -> None:
        self._group_id = account.group_id
        self._moves = moves_of([account.pk]).get(account.pk, [])
        self._currency = account.currency
        self._changes = list(
            ConfigurationChange.objects.filter(at__gt=since).order_by("at").values_list("at", flat=True)
        )
        self._books: dict[int, TermsBook] = {}

    def __call__(self, at: datetime, held: Collection[Position]) -> MarketView:
        """Return the group's view of an instant; what has no stored quote has no price in it."""
        span = bisect_right(self._changes, at)
        if span not in self._books:
            self._books[span] = terms_book_at(at)
        book = self._books[span]
        quotes = {name: past.quote for name, past in quotes_at(at, names=self._needed(book, held)).items()}
        group_id = group_at(self._moves, at, present=self._group_id)
        return Markets(book=book, now=at, quotes=quotes).of_group(group_id)

    def _needed(self, book: TermsBook, held: Collection[Position]) -> set[str]:
        """Return the symbols whose prices value positions in the account's currency."""
        table = conversions(book)
        currencies = {position.terms.profit_currency for position in held} - {self._currency}
        paths = (table.path(currency, self._currency) or () for currency in currencies)
        return {position.symbol for position in held} | {leg.symbol for path in paths for leg in path}
