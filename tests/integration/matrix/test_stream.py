"""Every operation of the WebSocket, times every role, on one's own account and on somebody else's."""

from typing import Any

import pytest

from apps.groups import selectors as group_selectors
from apps.trading.consumers import access
from tests.factories.stream_server import Client, StreamServer, in_thread
from tests.integration.matrix import declared
from tests.integration.matrix.broker import SIDES, Broker, Side

Asked = list[tuple[str, str, dict[str, Any]]]


def request(operation: str, side: Side) -> dict[str, Any]:
    """Return a request that is complete, about the account of a side."""
    first, second = side.account.positions.order_by("pk")[:2]
    login, key = side.account.login, f"matrix-{operation}"
    order = {"account": login, "symbol": "EURUSD", "side": "buy", "volume": "0.01", "client_order_id": key}
    order_id = side.account.orders.order_by("pk")[0].pk
    channels = {
        "quotes": {"symbols": ["EURUSD"], "account": login},
        "account": {"account": login},
        "candles": {"symbol": "EURUSD", "interval": "1m"},
    }
    operation, _colon, channel = operation.partition(":")
    if channel:
        extra = {"account": login} if channel == "candles" and operation == "subscribe" else {}
        fields = channels[channel] | extra
        if operation == "unsubscribe" and channel == "quotes":
            fields.pop("account")
        return {"channel": channel, **fields}
    data = {
        "order.market": order,
        "order.pending": order | {"type": "limit", "price": "1.00000"},
        "order.modify": {"order_id": order_id, "price": "1.00000"},
        "order.cancel": {"order_id": order_id},
        "position.modify": {"position_id": first.pk, "stop_loss": "1.00000"},
        "position.close": {"position_id": first.pk, "client_order_id": key, "volume": "0.01"},
        "position.close_by": {"position_id": first.pk, "opposite_id": second.pk, "client_order_id": key},
        "position.close_all": {"account": login, "symbol": "USDJPY", "client_order_id": key},
    }
    return {"data": data[operation]} if operation in data else {}


async def answers(url: str, token: str, asked: Asked) -> dict[tuple[str, str], str]:
    """Ask for every operation over one socket; nobody gets in without a token."""
    if not token:
        async with await Client.open(url) as client:
            await client.send({"op": "ping", "id": 1})
            code = str(await client.closed_with())
        return {(operation, side): code for operation, side, _fields in asked}
    found = {}
    async with await Client.open(url, token) as client:
        for operation, side, fields in asked:
            reply = (
                {"ok": True}
                if operation == "auth"
                else await client.ask(operation.partition(":")[0], **fields)
            )
            found[operation, side] = "ok" if reply["ok"] else reply["error"]["code"]
    return found


@pytest.mark.parametrize("role", declared.ROLES)
async def test_stream(role: str, broker: Broker) -> None:
    group_selectors._current = None
    access._owned.clear()
    lines = await in_thread(declared.stream)

    def requests() -> Asked:
        return [(key, side, request(key, broker.sides[side])) for key in lines for side in SIDES]

    asked, token = await in_thread(requests), await in_thread(broker.token, role)
    with StreamServer() as server:
        got = await answers(server.url, token, asked)

    wrong = {
        cell: word
        for cell, word in got.items()
        if word != declared.answer(lines[cell[0]].words[role], cell[1])
    }
    assert wrong == {}
