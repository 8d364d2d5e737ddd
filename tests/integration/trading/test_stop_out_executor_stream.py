"""A stop-out on the account stream: the client's terminal hears of it, without the house's part."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.domain.ledger import BalanceKind
from apps.groups import selectors as group_selectors
from apps.trading.consumers import access
from apps.trading.domain.commands import CallMargin, StopOut
from apps.trading.services import balances, executor
from rtx.kernel.actor import Actor
from tests.factories import rows
from tests.factories.stream_server import Broker, StreamServer, Trader, in_thread, opened, order, ticked

HOUSE = {"house", "raw_bid", "raw_ask", "markup", "book", "terms", "terms_version", "rule", "dossier"}


@pytest.fixture
def broker(db: None, settings: Any) -> Iterator[Broker]:
    settings.SESSIONS_ALWAYS_OPEN = True
    group_selectors._current = None
    access._owned.clear()
    with closing(Broker()) as made:
        yield made


@pytest.fixture
def trader(broker: Broker) -> Trader:
    return broker.trader(broker.group("standard"))


def _lose(trader: Trader, amount: str) -> None:
    balances.change(
        account_id=trader.account_id,
        kind=BalanceKind.ADJUSTMENT,
        amount=Decimal(amount),
        reference=uuid4().hex,
        actor=rows.TESTER,
    )


def _of(kind: type, trader: Trader) -> Any:
    return kind(account_id=trader.account_id, command_id=uuid4(), actor=Actor.system("monitor"))


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _names(inner)


async def test_the_client_hears_of_margin_call_and_stop_out_without_the_house(
    broker: Broker, trader: Trader
) -> None:
    with StreamServer() as server:
        async with await opened(server, trader) as client:
            await ticked(client, broker)
            await client.ask("order.market", data=order(trader))
            await in_thread(_lose, trader, "-9900")
            await client.ask("subscribe", channel="account", account=trader.login)
            await in_thread(executor.run, _of(CallMargin, trader))
            called = await client.next_push("account")
            await in_thread(_lose, trader, "-110")
            await client.next_push("account")
            await in_thread(executor.run, _of(StopOut, trader))
            stopped = await client.next_push("account")

    assert (called["type"], called["stop_out_level"]) == ("margin_called", "50")
    assert stopped["type"] == "stopped_out"
    assert [one["reason"] for one in stopped["orders"]] == ["stop_out"]
    assert stopped["balance"] == "0.00"
    assert Decimal(stopped["compensation"]) > 0
    for push in (called, stopped):
        assert HOUSE.isdisjoint(_names(push))
