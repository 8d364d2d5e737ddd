"""
Reads what waits for a price: working orders and positions with stops, as entries of the ladder. Reads only.
"""

from collections.abc import Iterable
from typing import Any

from django.db import connection

from apps.groups.domain.terms import Terms
from apps.groups.selectors import TermsBook
from apps.trading.domain import triggers
from apps.trading.domain.orders import OrderType, Side
from apps.trading.domain.triggers import Entry, GuardedPosition, Key, WaitingOrder

CHUNK = 5000

ORDERS = """
    SELECT o.account_id, a.group_id, y.name, o.id, o.side, o.type, o.price, o.stop_limit_price,
           o.activated_at, o.expires_at, o.created_at
    FROM trading_order o
    JOIN accounts_tradingaccount a ON a.id = o.account_id
    JOIN market_symbol y ON y.id = o.symbol_id
    WHERE o.status IN ('working', 'partially_filled') AND {which}
"""
POSITIONS = """
    SELECT p.account_id, a.group_id, y.name, p.id, p.side, p.stop_loss, p.take_profit, p.trailing_points,
           p.opened_at
    FROM trading_position p
    JOIN accounts_tradingaccount a ON a.id = p.account_id
    JOIN market_symbol y ON y.id = p.symbol_id
    WHERE (p.stop_loss IS NOT NULL OR p.take_profit IS NOT NULL OR p.trailing_points IS NOT NULL) AND {which}
"""

Waiting = dict[int, dict[Key, Entry]]


def waiting_of(account_ids: Iterable[int], *, book: TermsBook) -> Waiting:
    """Return account id -> what waits on it, empty for an account on which nothing does."""
    wanted = list(account_ids)
    found: Waiting = {account_id: {} for account_id in wanted}
    _collect(found, book, ORDERS.format(which="o.account_id = ANY(%s)"), wanted, _of_order)
    _collect(found, book, POSITIONS.format(which="p.account_id = ANY(%s)"), wanted, _of_position)
    return found


def all_waiting(*, book: TermsBook) -> Waiting:
    """Return account id -> what waits on it, for all accounts on which anything does."""
    found: Waiting = {}
    _collect(found, book, ORDERS.format(which="true"), None, _of_order)
    _collect(found, book, POSITIONS.format(which="true"), None, _of_position)
    return found


def _collect(
    found: Waiting, book: TermsBook, statement: str, wanted: list[int] | None, entries_of: Any
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, None if wanted is None else [wanted])
        while rows := cursor.fetchmany(CHUNK):
            for account_id, group_id, symbol, *row in rows:
                terms = book.terms.get(group_id, {}).get(symbol)
                if terms is None:  # made after this version of the terms: the next one knows it
                    continue
                kept = found.setdefault(account_id, {})
                for entry in entries_of(account_id, terms, *row):
                    kept[entry.key] = entry


def _of_order(account_id: int, terms: Terms, *row: Any) -> Iterable[Entry]:
    number, side, kind, price, stop_limit_price, activated_at, expires_at, created_at = row
    order_type = OrderType(kind)
    activates = order_type is OrderType.STOP_LIMIT and activated_at is None
    if order_type is OrderType.STOP_LIMIT:
        order_type = OrderType.STOP if activates else OrderType.LIMIT
    order = WaitingOrder(
        id=number,
        account_id=account_id,
        side=Side(side),
        waits_as=order_type,
        waits_for=stop_limit_price if activated_at is not None else price,
        activates=activates,
        expires_at=expires_at,
        since=activated_at or created_at,
    )
    return (triggers.of_order(order, terms),)


def _of_position(account_id: int, terms: Terms, *row: Any) -> Iterable[Entry]:
    number, side, stop_loss, take_profit, trailing_points, opened_at = row
    position = GuardedPosition(
        id=number,
        account_id=account_id,
        side=Side(side),
        stop_loss=stop_loss,
        take_profit=take_profit,
        trailing_points=trailing_points,
        since=opened_at,
    )
    return triggers.of_position(position, terms)
