"""
Accounts, positions and working orders as the book sees them, read with raw SQL: for the writer path under
its lock, and for reads.

Takes the caller's cursor; opens no transaction and locks nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import Cursor

from apps.groups.domain.terms import PositionMode
from apps.trading.domain.holdings import Account
from apps.trading.domain.orders import (
    ContractTerms,
    Order,
    OrderReason,
    OrderStatus,
    OrderType,
    Position,
    Side,
    TimeInForce,
)

Rows = Cursor[Any]

ACCOUNTS = """
    SELECT a.id, a.login, a.group_id, a.currency, a.position_mode, a.leverage, a.status,
           s.balance, s.credit, s.margin, s.seq
    FROM accounts_tradingaccount a JOIN accounts_accountstate s ON s.account_id = a.id WHERE a.id = ANY(%s)
"""
POSITIONS = """
    SELECT p.account_id, p.id, y.name, p.side, p.volume, p.cost, p.margin_rate, p.terms, p.book,
    p.last_deal_id,
           p.opened_at, p.stop_loss, p.take_profit, p.trailing_points, p.swap, p.commission
    FROM trading_position p JOIN market_symbol y ON y.id = p.symbol_id
    WHERE p.account_id = ANY(%s) ORDER BY p.id
"""
WORKING = """
    SELECT o.account_id, o.id, o.client_order_id, y.name, o.side, o.type, o.volume, o.status, o.created_at,
           o.price, o.stop_limit_price, o.stop_loss, o.take_profit, o.trailing_points, o.time_in_force,
           o.expires_at, o.activated_at, o.reason, o.comment, o.filled_volume, o.margin_rate, o.terms
    FROM trading_order o JOIN market_symbol y ON y.id = o.symbol_id
    WHERE o.account_id = ANY(%s) AND o.status IN ('working', 'partially_filled') ORDER BY o.id
"""


class Loaded(NamedTuple):
    """An account with what it holds, as the database has it."""

    account: Account
    positions: list[Position]
    orders: list[Order]


def load_accounts(cursor: Rows, account_ids: Sequence[int]) -> dict[int, Loaded]:
    """Read accounts with their open positions and working orders."""
    cursor.execute(ACCOUNTS, (list(account_ids),), prepare=True)
    found = {row[0]: Loaded(account_of(row), [], []) for row in cursor.fetchall()}
    cursor.execute(POSITIONS, (list(account_ids),), prepare=True)
    for account_id, *row in cursor.fetchall():
        found[account_id].positions.append(position_of(row))
    cursor.execute(WORKING, (list(account_ids),), prepare=True)
    for account_id, *row in cursor.fetchall():
        found[account_id].orders.append(order_of(row))
    return found


def account_of(row: Sequence[Any]) -> Account:
    """Return the account that a row of ACCOUNTS describes."""
    return Account(
        id=row[0],
        login=row[1],
        group_id=row[2],
        currency=row[3],
        position_mode=PositionMode(row[4]),
        leverage=row[5],
        status=row[6],
        balance=row[7],
        credit=row[8],
        margin=row[9],
        seq=row[10],
    )


def position_of(row: Sequence[Any]) -> Position:
    """Return the position that a row of POSITIONS (without its account) describes."""
    return Position(
        id=row[0],
        symbol=row[1],
        side=Side(row[2]),
        volume=row[3],
        cost=row[4],
        margin_rate=row[5],
        terms=ContractTerms.decoded(row[6]),
        book=row[7],
        last_deal_id=row[8],
        opened_at=row[9],
        stop_loss=row[10],
        take_profit=row[11],
        trailing_points=row[12],
        swap=row[13],
        commission=row[14],
    )


def order_of(row: Sequence[Any]) -> Order:
    """Return the working order that a row of WORKING (without its account) describes."""
    return Order(
        id=row[0],
        client_order_id=row[1],
        symbol=row[2],
        side=Side(row[3]),
        type=OrderType(row[4]),
        volume=row[5],
        status=OrderStatus(row[6]),
        created_at=row[7],
        price=row[8],
        stop_limit_price=row[9],
        stop_loss=row[10],
        take_profit=row[11],
        trailing_points=row[12],
        time_in_force=TimeInForce(row[13]),
        expires_at=row[14],
        activated_at=row[15],
        reason=OrderReason(row[16]),
        comment=row[17],
        filled_volume=row[18],
        margin_rate=row[19],
        terms=ContractTerms.decoded(row[20]) if row[20] else None,
    )
