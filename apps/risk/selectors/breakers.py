"""
Reads of circuit breakers: rules, how their subjects stand, and what is measured in the database. Reads
only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from django.db import connection
from psycopg import Cursor

from apps.accounts.models import TradingAccount
from apps.market.models import FeedStatus
from apps.risk.domain.breakers import State
from apps.risk.domain.switches import Probe
from apps.risk.models import Breaker, BreakerState
from apps.risk.selectors.controls import HalfOpen, controls_version, probed
from apps.trading.selectors.following import JournalEvent

OWN_WORDS = frozenset({"circuit_breaker", "kill_switch"})  # refusals of guards say nothing about the market
# Refusals that are nobody's own mistake. Only these count where a breaker watches more than one account.
MARKET_WORDS = frozenset({"off_quotes", "requote", "lp_rejected", "timeout"})
ORDERS_SINCE = """
    SELECT id, account_id, at, payload->'order'->>'symbol', payload->'order'->>'reject_reason'
    FROM accounts_accountevent
    WHERE at > %s AND type IN ('order_placed', 'order_filled', 'order_rejected')
      AND payload->'order'->>'trigger' IS NULL
      AND coalesce(payload->'order'->'deals'->0->>'entry', 'in') IN ('in', 'inout')
    ORDER BY at, id
"""
# What the house lost: its ledgers, or of one symbol what clients made with the deals that it took itself.
LOSS_BY_ACCOUNT = """
    SELECT l.account_id, l.currency, -sum(l.amount) FROM accounts_ledgerline l
    WHERE l.ledger IN ('bbook', 'commission', 'swap', 'markup', 'compensation') AND l.at > %s GROUP BY 1, 2
"""
LOSS_BY_SYMBOL = """
    SELECT y.name, a.currency, sum(d.profit + d.swap + d.commission) FROM trading_deal d
    JOIN market_symbol y ON y.id = d.symbol_id JOIN accounts_tradingaccount a ON a.id = d.account_id
    WHERE d.created_at > %s AND d.book = 'b' GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One active breaker."""

    id: int
    name: str
    scope: str
    kind: str
    threshold: Decimal
    currency: str
    symbol: str | None
    account_id: int | None
    lp: str
    window_ms: int
    observations_min: int
    cooldown_s: int
    probe_orders: int
    resets_itself: bool


class Standing(NamedTuple):
    """How one subject of a breaker stands."""

    id: int
    state: State
    since: datetime
    cools_until: datetime | None
    account_id: int | None = None


class OrderSeen(NamedTuple):
    """One new order as breakers count it; `refusal` is empty for one that was accepted."""

    event_id: int
    account_id: int
    symbol: str
    at: datetime
    refusal: str = ""


def version() -> int:
    """
    Return the number of the present state of all controls.

    :raises ControlsMissing: there is none.
    """
    with _cursor() as cursor:
        return controls_version(cursor)


@contextmanager
def _cursor() -> Iterator[Cursor[Any]]:
    """Open a cursor of the driver whose errors are Django's: who watches breakers waits for the database."""
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        yield cursor


def rules() -> list[Rule]:
    """Return the active breakers."""
    return [
        Rule(
            id=row.pk,
            name=row.name,
            scope=row.scope,
            kind=row.kind,
            threshold=row.threshold,
            currency=row.currency,
            symbol=row.symbol.name if row.symbol else None,
            account_id=row.account_id,
            lp=row.lp,
            window_ms=row.window_s * 1000,
            observations_min=row.observations_min,
            cooldown_s=row.cooldown_s,
            probe_orders=row.probe_orders,
            resets_itself=row.reset == Breaker.Reset.AUTO,
        )
        for row in Breaker.objects.filter(is_active=True).select_related("symbol").order_by("pk")
    ]


def standings() -> dict[tuple[int, str], Standing]:
    """Return how every subject that ever tripped stands, by breaker and subject."""
    rows = BreakerState.objects.values_list(
        "breaker_id", "subject", "pk", "state", "since", "cools_until", "account_id"
    )
    return {
        (breaker_id, subject): Standing(pk, State(state), since, cools_until, account_id)
        for breaker_id, subject, pk, state, since, cools_until, account_id in rows
    }


def providers() -> dict[str, str]:
    """Return which provider each symbol's prices come from."""
    return dict(FeedStatus.objects.values_list("symbol__name", "provider"))


def logins(account_ids: set[int]) -> dict[int, str]:
    """Return the account numbers as breakers name their subjects."""
    rows = TradingAccount.objects.filter(pk__in=account_ids).values_list("pk", "login")
    return {pk: str(login) for pk, login in rows}


def probes_left(rule: Rule, standing: Standing, *, symbols: frozenset[str] | None) -> int:
    """Return how many more orders a half-open breaker waits for before it closes."""
    account_id = standing.account_id if rule.scope == "account" else None
    probe = Probe(standing.id, rule.probe_orders, symbols, account_id)
    with _cursor() as cursor:
        return rule.probe_orders - probed(cursor, HalfOpen(probe, standing.since))


def orders_since(instant: datetime) -> list[OrderSeen]:
    """Return the new orders since an instant, as the journal tells them."""
    with connection.cursor() as cursor:
        cursor.execute(ORDERS_SINCE, [instant])
        rows = cursor.fetchall()
    return [
        OrderSeen(id_, account_id, symbol, at, reason or "")
        for id_, account_id, at, symbol, reason in rows
        if reason not in OWN_WORDS
    ]


def order_seen(event: JournalEvent) -> OrderSeen | None:
    """Return the new order that an event tells of; None: it is about something else."""
    if event.type not in ("order_placed", "order_filled", "order_rejected"):
        return None
    order = orjson.loads(event.payload_text)["order"]
    closes = order["deals"] and order["deals"][0]["entry"] not in ("in", "inout")
    if closes or order.get("trigger") or order.get("reject_reason") in OWN_WORDS:
        return None
    refusal = order.get("reject_reason") or ""
    return OrderSeen(event.place.id, event.account_id, order["symbol"], event.at, refusal)


def losses(*, by_symbol: bool, since: datetime) -> list[tuple[int | str, str, Decimal]]:
    """
    Return what the house lost since an instant by account (or symbol) and currency; negative: it gained.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOSS_BY_SYMBOL if by_symbol else LOSS_BY_ACCOUNT, [since])
        return list(cursor.fetchall())
