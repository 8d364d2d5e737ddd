"""
Derives accounts again from the journal and compares: state, positions, ledger, deals. Reads one snapshot,
writes nothing.

The rules are those that booked the events (`Replay.replay`), fed with nothing but the events.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection
from psycopg import Cursor, sql

from apps.accounts.domain.ledger import Ledger
from apps.groups.domain.terms import PositionMode
from apps.trading.domain import journal
from apps.trading.domain.holdings import Account
from apps.trading.domain.orders import Order, Position
from apps.trading.domain.replaying import Divergence, Replay
from apps.trading.selectors.rows import load_accounts
from rtx.kernel.money import ZERO

COMPARED = (
    "symbol",
    "side",
    "volume",
    "cost",
    "margin_rate",
    "terms",
    "swap",
    "commission",
    "stop_loss",
    "take_profit",
    "trailing_points",
    "book",
    "last_deal_id",
    "opened_at",
)
EVENTS = """
    SELECT account_id, seq, type, payload::text FROM accounts_accountevent
    WHERE account_id = ANY(%s) ORDER BY account_id, seq
"""
LINES = """
    SELECT account_id, ledger, sum(amount) FROM accounts_ledgerline WHERE account_id = ANY(%s) GROUP BY 1, 2
"""
DEALS = """
    SELECT account_id, count(*), sum(profit + commission + swap) FROM trading_deal
    WHERE account_id = ANY(%s) GROUP BY 1
"""


ORDERS = "SELECT account_id, id, status FROM trading_order WHERE account_id = ANY(%s)"
SWAPS = """
    SELECT account_id, count(*), sum(amount) FROM trading_swapcharge WHERE account_id = ANY(%s) GROUP BY 1
"""
WORKING = (
    "symbol",
    "side",
    "type",
    "volume",
    "status",
    "price",
    "stop_limit_price",
    "stop_loss",
    "take_profit",
    "trailing_points",
    "time_in_force",
    "expires_at",
    "activated_at",
    "margin_rate",
    "terms",
)


@dataclass(slots=True)
class Derived:
    """One account as its journal tells it."""

    holdings: Replay | None = None
    lines: dict[Ledger, Decimal] = field(default_factory=dict)
    deals: int = 0
    deal_money: Decimal = ZERO
    orders: dict[int, str] = field(default_factory=dict)
    swaps: int = 0
    swap_money: Decimal = ZERO
    events: int = 0


@contextmanager
def snapshot(exported: str | None = None) -> Iterator[Cursor[Any]]:
    """
    Open a read-only transaction whose every statement sees the same instant. It may stand still while others
    read from its instant: it holds nothing that anybody waits for.

    `exported` names the instant of another open transaction (see `export`), so that several processes see
    one.

    :raises django.db.Error: the database is away, whatever the driver calls it.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.transaction():
        cursor = Cursor(connection.connection)
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        if exported is not None:
            cursor.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(exported)))
        yield cursor


def export(cursor: Cursor[Any]) -> str:
    """Return the name under which other processes can see this transaction's instant while it is open."""
    cursor.execute("SELECT pg_export_snapshot()")
    row = cursor.fetchone()
    assert row is not None
    return str(row[0])


def account_ids(cursor: Cursor[Any], *, login: int | None = None) -> list[int]:
    """Return the ids of all accounts, or of the one with that login."""
    cursor.execute(
        "SELECT id FROM accounts_tradingaccount WHERE %s::bigint IS NULL OR login = %s ORDER BY id",
        (login, login),
    )
    return [row[0] for row in cursor.fetchall()]


def event_count(cursor: Cursor[Any]) -> int:
    """Return how many events the journal holds."""
    cursor.execute("SELECT count(*) FROM accounts_accountevent")
    row = cursor.fetchone()
    return row[0] if row else 0


def verify(cursor: Cursor[Any], ids: Sequence[int]) -> int:
    """
    Verify accounts and return how many events were replayed.

    :raises Divergence: names the first difference.
    """
    derived = _replayed(cursor, ids)
    stored = load_accounts(cursor, ids)
    lines: dict[int, dict[str, Decimal]] = {}
    cursor.execute(LINES, (list(ids),))
    for account_id, name, amount in cursor.fetchall():
        lines.setdefault(account_id, {})[name] = amount
    cursor.execute(DEALS, (list(ids),))
    deals = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
    cursor.execute(SWAPS, (list(ids),))
    swaps = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
    orders: dict[int, dict[int, str]] = {}
    cursor.execute(ORDERS, (list(ids),))
    for account_id, order_id, status in cursor.fetchall():
        orders.setdefault(account_id, {})[order_id] = status
    for account_id in ids:
        if account_id not in stored:
            raise Divergence(f"account id {account_id} has no state")
        account, positions, working = stored[account_id]
        with _named(account):
            told = derived.get(account_id, Derived())
            _compare_state(account, told)
            _compare_positions(positions, told)
            _compare_orders(orders.get(account_id, {}), working, told)
            _compare_ledger(lines.get(account_id, {}), told)
            count, money = deals.get(account_id, (0, ZERO))
            _same("number of deals", count, told.deals)
            _same("money of the deals", money, told.deal_money)
            count, money = swaps.get(account_id, (0, ZERO))
            _same("number of swap charges", count, told.swaps)
            _same("sum of swap charges", money, told.swap_money)
    return sum(told.events for told in derived.values())


def _replayed(cursor: Cursor[Any], ids: Sequence[int]) -> dict[int, Derived]:
    derived: dict[int, Derived] = {}
    cursor.execute(EVENTS, (list(ids),))
    for account_id, seq, type_, payload_text in cursor:
        payload = orjson.loads(payload_text)
        told = derived.setdefault(account_id, Derived())
        told.events += 1
        if type_ == "account_opened":
            told.holdings = _opened(account_id, payload)
        if told.holdings is None:
            raise Divergence(f"account id {account_id}: event {seq} stands before the account was opened")
        with _named(told.holdings.account):
            for line in told.holdings.replay(seq=seq, type_=type_, payload=payload):
                told.lines[line.ledger] = told.lines.get(line.ledger, ZERO) + line.amount
        _count(told, payload)
    return derived


def _count(told: Derived, payload: dict[str, Any]) -> None:
    """Note how an event leaves its orders, and add up its deals and swap charges."""
    for order in journal.orders_told(payload):
        told.orders[order["id"]] = order["status"]
        for deal in order["deals"]:
            told.deals += 1
            told.deal_money += Decimal(deal["profit"]) + Decimal(deal["commission"]) + Decimal(deal["swap"])
    for charge in payload.get("charges", ()):
        told.swaps += 1
        told.swap_money += Decimal(charge["amount"])


def _opened(account_id: int, payload: dict[str, Any]) -> Replay:
    return Replay(
        account=Account(
            id=account_id,
            login=payload["login"],
            group_id=payload.get("house", {}).get("group_id", 0),  # 0: opened before it was told
            currency=payload["currency"],
            position_mode=PositionMode(payload["position_mode"]),
            leverage=payload["leverage"],
        )
    )


@contextmanager
def _named(account: Account) -> Iterator[None]:
    """Put the account's login in front of a difference."""
    try:
        yield
    except (Divergence, ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise Divergence(f"account {account.login}: {error or type(error).__name__}") from error


def _same(name: str, stored: Any, derived: Any) -> None:
    if stored != derived:
        raise Divergence(f"{name} is {stored}, the journal says {derived}")


def _compare_state(account: Account, told: Derived) -> None:
    if told.holdings is None:
        raise Divergence("has no journal")
    own = told.holdings.account
    _same("seq", account.seq, own.seq)
    _same("balance", account.balance, own.balance)
    _same("credit", account.credit, own.credit)
    _same("margin", account.margin, own.margin)
    _same("leverage", account.leverage, own.leverage)
    _same("group", account.group_id, own.group_id or account.group_id)
    _same("status", account.status, own.status)


def _compare_positions(positions: Sequence[Position], told: Derived) -> None:
    own = told.holdings.positions if told.holdings else {}
    _same("open positions", [p.id for p in positions], sorted(own))
    for position in positions:
        for name in COMPARED:
            _same(
                f"{name} of position {position.id}", getattr(position, name), getattr(own[position.id], name)
            )


def _compare_orders(stored: dict[int, str], working: Sequence[Order], told: Derived) -> None:
    for order_id in stored.keys() | told.orders.keys():
        _same(f"status of order {order_id}", stored.get(order_id), told.orders.get(order_id))
    own = told.holdings.orders if told.holdings else {}
    _same("working orders", [order.id for order in working], sorted(own))
    for order in working:
        for name in WORKING:
            _same(f"{name} of order {order.id}", getattr(order, name), getattr(own[order.id], name))


def _compare_ledger(lines: dict[str, Decimal], told: Derived) -> None:
    _same("sum of all ledger lines", sum(lines.values(), ZERO), ZERO)
    for name in Ledger:
        _same(f"ledger {name}", lines.get(name, ZERO), told.lines.get(name, ZERO))
    if told.holdings:
        _same("sum of client lines", lines.get(Ledger.CLIENT, ZERO), told.holdings.account.balance)
        _same("sum of credit lines", lines.get(Ledger.CREDIT, ZERO), told.holdings.account.credit)
