"""
Dry runs: what a command would do to its account now, decided by the account book itself on a copy, with the
executor's guards. Writes nothing, locks nothing, numbers nothing: what is booked a moment later meets the
market of that moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from django.db import connection, transaction
from psycopg import Cursor

from apps.trading.domain import journal
from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import Command, MoveAccount, Outcome
from apps.trading.domain.orders import Position
from apps.trading.domain.pricing import MarketView
from apps.trading.selectors.markets import markets
from apps.trading.selectors.rows import load_accounts
from apps.trading.services import rows
from apps.trading.services.batch import AccountNotFound, ClientOrderIdReused
from apps.trading.services.guarding import Guards
from rtx.kernel import clock

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """An account's money in its currency, unrounded; None: a price or a conversion is missing."""

    balance: Decimal
    credit: Decimal
    margin: Decimal
    equity: Decimal | None
    free_margin: Decimal | None
    level_pct: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSeen:
    """A client price that a dry run met, and how old it was."""

    symbol: str
    digits: int
    point: Decimal
    bid: Decimal
    ask: Decimal
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """
    What would become of a command now. `deals` and `orders` as the public interfaces write them; an id below
    0 stands for one that is not given yet. `held`: the positions before, by id. `repeated`: the command was
    carried out before, this is what it did.
    """

    login: int
    currency: str
    at: datetime
    type: str
    refusal: str
    before: Figures
    after: Figures
    held: Mapping[int, Position]
    orders: list[Payload]
    deals: list[Payload]
    position: Payload | None
    failed: list[Payload]
    leverage: int
    quotes: list[QuoteSeen]
    repeated: bool = False

    def total(self, name: str) -> Decimal:
        """Return what all deals together bring as `profit`, `commission` or `swap`."""
        return sum((Decimal(deal[name]) for deal in self.deals), Decimal(0))


def preview(command: Command) -> Preview:
    """
    Return what a command would do to its account at the present market.

    :raises RtxError: as the book does when the command cannot even be refused (an unknown position, say).
    :raises AccountNotFound: there is no such account.
    :raises ClientOrderIdReused: the command's id already names another one.
    """
    with transaction.atomic():
        cursor = Cursor(connection.connection)
        held = load_accounts(cursor, [command.account_id]).get(command.account_id)
        if held is None:
            raise AccountNotFound
        now = clock.now()
        views = markets(now=now)
        view = views.of_group(held.account.group_id)
        then = views.of_group(command.group_id) if isinstance(command, MoveAccount) else view
        book = AccountBook(
            account=held.account, positions=held.positions, orders=held.orders, tickets=count(-1, -1)
        )
        before, positions = figures(book, view), dict(book.positions)
        known = rows.known_commands(cursor, [command.command_id]).get(command.command_id)
        if known is not None:
            if known.fingerprint != command.fingerprint:
                raise ClientOrderIdReused("This id already names a request with other content.")
            outcome = Outcome(seq=known.seq, type=known.type, payload=known.payload, repeated=True)
        else:
            guards = Guards()
            guards.begin(cursor, [command], {command.account_id: book}, views, now)
            reason = guards.refusal(command, book, view)
            outcome = (
                book.refuse(command, reason, market=view, now=now)
                if reason
                else book.apply(command, market=then, now=now)
            )
    return _told(command, outcome, book, then, before=before, held=positions)


def figures(book: AccountBook, view: MarketView) -> Figures:
    """Return an account's money at the market's prices."""
    account, value = book.account, book.valuation(view)
    return Figures(
        balance=account.balance,
        credit=account.credit,
        margin=account.margin,
        equity=None if value is None else value.equity,
        free_margin=None if value is None else value.free_margin,
        level_pct=None if value is None else value.level_pct,
    )


def _told(
    command: Command,
    outcome: Outcome,
    book: AccountBook,
    view: MarketView,
    *,
    before: Figures,
    held: Mapping[int, Position],
) -> Preview:
    payload = outcome.payload
    orders = journal.orders_told(payload)
    symbols = {order["symbol"] for order in orders}
    if payload.get("position"):
        symbols.add(payload["position"]["symbol"])
    return Preview(
        login=book.account.login,
        currency=book.account.currency,
        at=view.now,
        type=outcome.type,
        refusal=_refusal(payload),
        before=before,
        after=figures(book, view),
        held=held,
        orders=orders,
        deals=[deal for order in orders for deal in order["deals"]],
        position=payload.get("position"),
        failed=payload.get("failed", []),
        leverage=book.account.leverage,
        quotes=[seen for symbol in sorted(symbols) if (seen := _quote(symbol, view)) is not None],
        repeated=outcome.repeated,
    )


def _refusal(payload: Payload) -> str:
    """Return the reason that an event gives for a refusal; empty: there is none."""
    told = payload.get("reject_reason") or payload.get("order", {}).get("reject_reason")
    return str(told or "")


def _quote(symbol: str, view: MarketView) -> QuoteSeen | None:
    quote, spec = view.client(symbol), view.spec(symbol)
    if quote is None or spec is None:
        return None
    return QuoteSeen(
        symbol=symbol,
        digits=spec.digits,
        point=spec.point,
        bid=quote.bid,
        ask=quote.ask,
        age_ms=max(0, view.now_ms - quote.time_ms),
    )
