"""A trigger engine inside the test's process, fed tick by tick, and pending commands for it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.db import connection

from apps.market.domain.quotes import Quote
from apps.market.services.board import own_board
from apps.market.services.engine import Engine, TickBatch
from apps.trading.domain.commands import ModifyPosition, PlacePending, order_command_id
from apps.trading.domain.orders import OrderType, Side
from apps.trading.services.triggering import TriggerService
from rtx.kernel import clock
from tests.factories.rows import Holder

D = Decimal
WAIT_S = 15.0


def eventually(check: Callable[[], Any], *, timeout_s: float = WAIT_S) -> Any:
    """Poll until the check is true and return what it found; fail after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < deadline, f"still {found!r} after {timeout_s} s"
        time.sleep(0.01)
    return found


def await_transactions() -> None:
    """
    Wait until all transactions that have begun are over: whoever reads in the order of commits sees what was
    written then. One of another test, in another database of the same server, counts too.
    """
    begun = _one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    eventually(lambda: _one("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint") >= begun)


def _one(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


class Feed:
    """An engine whose ticks the test makes, with one trigger service or several."""

    def __init__(self) -> None:
        self.engine = Engine(paths=[])

    def start(self) -> TriggerService:
        """Host one more trigger service."""
        service = TriggerService()
        self.engine.services.append(service)
        service.start(self.engine)
        return service

    def tick(self, bid: str, ask: str, symbol: str = "EURUSD", *, age_ms: int = 0) -> Quote:
        """Let one quote pass as the feed does: board first, then the listeners."""
        quote = Quote(symbol, D(bid), D(ask), clock.now_ms() - age_ms)
        own_board().put(quote)
        self.engine.publish(TickBatch([quote], own_board().latest))
        return quote

    def leads(self, service: TriggerService, *, armed: int | None = None) -> TriggerService:
        """Wait until a service leads and, when given, so many prices wait in it."""
        eventually(lambda: service.health()["leading"])
        if armed is not None:
            eventually(lambda: service.health()["armed"] == armed)
        return service


@contextmanager
def feeding() -> Iterator[Feed]:
    """Open a feed; whatever it hosts is stopped at the end."""
    feed = Feed()
    try:
        yield feed
    finally:
        for service in feed.engine.services:
            service.stop()


def pending(holder: Holder, side: Side, kind: OrderType, price: str, **more: Any) -> PlacePending:
    """Return the command for a pending order of 0.10 lots on EURUSD."""
    client_order_id = more.pop("client_order_id", None) or f"p-{uuid4().hex[:16]}"
    values: dict[str, Any] = {
        name: D(more.pop(name)) if name in more else None
        for name in ("stop_limit_price", "stop_loss", "take_profit")
    }
    return PlacePending(
        account_id=holder.id,
        command_id=order_command_id(account_id=holder.id, client_order_id=client_order_id),
        actor=holder.actor,
        client_order_id=client_order_id,
        symbol=more.pop("symbol", "EURUSD"),
        side=side,
        volume=D(more.pop("lots", "0.10")),
        type=kind,
        price=D(price),
        **values,
        **more,
    )


def stops(holder: Holder, position_id: int, **changes: Any) -> ModifyPosition:
    """Return the command that changes a position's stops; prices as text."""
    return ModifyPosition(
        account_id=holder.id,
        command_id=uuid4(),
        actor=holder.actor,
        position_id=position_id,
        **{name: D(value) if isinstance(value, str) else value for name, value in changes.items()},
    )
