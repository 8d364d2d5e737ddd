"""The stream client against a made-up server that breaks, repeats and skips as it is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from rtx_client import Event, Quote, RtxStream, errors
from websockets.asyncio.server import ServerConnection, serve

Handler = Callable[["Socket"], Awaitable[None]]


class Socket:
    """The server's side of one connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection

    async def asked(self) -> dict[str, Any]:
        """Return the next request; pings are answered at once."""
        while True:
            request: dict[str, Any] = json.loads(await self.connection.recv())
            if request["op"] != "ping":
                return request
            await self.reply(request, t=1)

    async def reply(self, request: dict[str, Any], **data: Any) -> None:
        await self.connection.send(json.dumps({"id": request["id"], "ok": True, "data": data}))

    async def refuse(self, request: dict[str, Any], code: str) -> None:
        told = {"id": request["id"], "ok": False, "error": {"code": code, "detail": code}}
        await self.connection.send(json.dumps(told))

    async def events(self, *seqs: int) -> None:
        for seq in seqs:
            event = {"ch": "account", "account": 1, "seq": seq, "type": "test", "at": "2026-01-05T10:00:00Z"}
            await self.connection.send(json.dumps(event))

    async def close(self, code: int) -> None:
        await self.connection.close(code)

    async def idle(self) -> None:
        """Answer pings until the client goes."""
        await self.asked()


class Server:
    """Serves connections by handlers, in turn; the last one serves all that follow."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self.tickets: list[str] = []
        self.url = ""

    async def serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.tickets.append(connection.request.path)
        handler = self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0]
        await handler(Socket(connection))

    def stream(self, *handlers: Handler, ticket: Callable[[], str] = lambda: "t") -> RtxStream:
        self.handlers = list(handlers)
        return RtxStream(self.url, ticket, pause_s=0.01, timeout_s=5)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with serve(made.serve, "127.0.0.1", 0) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        made.url = f"ws://127.0.0.1:{port}/ws"
        yield made


async def idle(socket: Socket) -> None:
    await socket.idle()


async def taken(stream: RtxStream, count: int) -> list[Any]:
    found = []
    async with asyncio.timeout(5):
        async for message in stream:
            found.append(message)
            if len(found) == count:
                return found
    raise AssertionError("the stream ended")


async def test_a_break_goes_on_after_the_last_event(server: Server) -> None:
    asked: list[Any] = []

    async def first(socket: Socket) -> None:
        request = await socket.asked()
        asked.append(request["since"])
        await socket.reply(request, channel="account", account=1, seq=5)
        await socket.events(6, 7)
        await socket.close(1012)

    async def second(socket: Socket) -> None:
        request = await socket.asked()
        asked.append(request["since"])
        await socket.reply(request, channel="account", account=1, seq=7)
        await socket.events(8)
        await socket.idle()

    async with server.stream(first, second) as stream:
        await stream.subscribe_account(1, since=5)
        events = await taken(stream, 3)

    assert [event.seq for event in events] == [6, 7, 8]
    assert asked == [5, 7]


async def test_a_repeat_is_dropped_and_a_gap_is_filled(server: Server) -> None:
    sinces: list[Any] = []

    async def gaps(socket: Socket) -> None:
        request = await socket.asked()
        sinces.append(request["since"])
        await socket.reply(request, channel="account", account=1, seq=0)
        await socket.events(1, 1, 3)
        await socket.idle()

    async def whole(socket: Socket) -> None:
        request = await socket.asked()
        sinces.append(request["since"])
        await socket.reply(request, channel="account", account=1, seq=1)
        await socket.events(2, 3)
        await socket.idle()

    async with server.stream(gaps, whole) as stream:
        await stream.subscribe_account(1, since=0)
        events = await taken(stream, 3)

    assert [event.seq for event in events] == [1, 2, 3]
    assert sinces == [0, 1]


async def test_events_before_the_reply_are_not_given_twice(server: Server) -> None:
    async def eager(socket: Socket) -> None:
        request = await socket.asked()
        await socket.events(6)
        await socket.reply(request, channel="account", account=1, seq=5)
        await socket.events(6, 7)
        await socket.idle()

    async with server.stream(eager) as stream:
        await stream.subscribe_account(1, since=5)
        events = await taken(stream, 2)

    assert [event.seq for event in events] == [6, 7]


async def test_a_lost_answer_is_asked_for_with_the_same_id(server: Server) -> None:
    asked: list[Any] = []

    async def breaks(socket: Socket) -> None:
        asked.append((await socket.asked())["data"])
        await socket.close(1011)

    async def answers(socket: Socket) -> None:
        request = await socket.asked()
        asked.append(request["data"])
        await socket.reply(request, id=7)
        await socket.idle()

    async with server.stream(breaks, answers) as stream:
        found = await stream.trade("order.market", account=1, volume=Decimal("0.10"))

    assert found == {"id": 7}
    assert asked[0] == asked[1]
    assert (asked[0]["volume"], len(asked[0]["client_order_id"])) == ("0.10", 32)


async def test_values_travel_as_over_rest(server: Server) -> None:
    async def answers(socket: Socket) -> None:
        request = await socket.asked()
        await socket.reply(request, **request["data"])
        await socket.idle()

    async with server.stream(answers) as stream:
        with pytest.raises(TypeError, match="not exact"):
            await stream.trade("order.market", account=1, volume=0.1)
        found = await stream.trade(
            "order.pending", volume=Decimal("1E-1"), expires_at=datetime(2026, 1, 5, 10, tzinfo=UTC)
        )

    assert (found["volume"], found["expires_at"]) == ("0.1", "2026-01-05T10:00:00+00:00")


async def test_a_refusal_is_an_error_by_its_code(server: Server) -> None:
    async def refuses(socket: Socket) -> None:
        for code in ("invalid_stops", "order_not_found", "client_order_id_reused"):
            await socket.refuse(await socket.asked(), code)
        await socket.idle()

    async with server.stream(refuses) as stream:
        for kind in (errors.ChangeRefused, errors.NotFound, errors.IdReused):
            with pytest.raises(kind):
                await stream.trade("order.modify", order_id=7, stop_loss="1")


async def test_a_slow_reader_gets_the_latest_quote_of_each_symbol(server: Server) -> None:
    async def prices(socket: Socket) -> None:
        await socket.reply(await socket.asked(), channel="quotes")
        for bid in ("1.1", "1.2", "1.3"):
            quote = {"s": "EURUSD", "b": bid, "a": "1.4", "t": 1767607200123}
            await socket.connection.send(json.dumps({"ch": "quotes", "q": [quote]}))
        await socket.reply(await socket.asked(), done=True)
        await socket.idle()

    async with server.stream(prices) as stream:
        await stream.subscribe_quotes("EURUSD")
        await stream.request("unsubscribe", channel="account")
        (quote,) = await taken(stream, 1)

    assert isinstance(quote, Quote)
    assert (quote.bid, quote.time.microsecond) == (Decimal("1.3"), 123_000)


async def test_a_subscription_that_is_gone_is_told_and_the_rest_goes_on(server: Server) -> None:
    async def first(socket: Socket) -> None:
        await socket.reply(await socket.asked(), channel="account", account=1, seq=0)
        await socket.reply(await socket.asked(), channel="quotes")
        await socket.close(1012)

    async def second(socket: Socket) -> None:
        await socket.reply(await socket.asked(), channel="account", account=1, seq=0)
        await socket.refuse(await socket.asked(), "symbol_not_found")
        await socket.events(1)
        await socket.idle()

    async with server.stream(first, second) as stream:
        await stream.subscribe_account(1, since=0)
        await stream.subscribe_quotes("EURUSD")
        found: list[Any] = []
        for _ in range(2):  # in which order they come is open
            try:
                found += await taken(stream, 1)
            except errors.NotFound as error:
                found.append(error)

    assert {type(one) for one in found} == {Event, errors.NotFound}


async def test_a_gone_subscription_is_told_to_a_reader_who_is_behind(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtx_client.stream.WAITING_MAX", 1)

    async def first(socket: Socket) -> None:
        await socket.reply(await socket.asked(), channel="account", account=1, seq=0)
        await socket.reply(await socket.asked(), channel="quotes")
        await socket.close(1012)

    async def second(socket: Socket) -> None:
        await socket.reply(await socket.asked(), channel="account", account=1, seq=0)
        request = await socket.asked()
        await socket.events(1)
        await socket.refuse(request, "symbol_not_found")
        await socket.idle()

    async with server.stream(first, second) as stream:
        await stream.subscribe_account(1, since=0)
        await stream.subscribe_quotes("EURUSD")
        async with asyncio.timeout(5):
            while stream.connections < 2:
                await asyncio.sleep(0)
        with pytest.raises(errors.NotFound):
            await taken(stream, 1)
        (event,) = await taken(stream, 1)

    assert event.seq == 1


async def test_a_fault_of_the_broker_costs_no_subscription(server: Server) -> None:
    async def subscribed(socket: Socket) -> None:
        await socket.reply(await socket.asked(), channel="account", account=1, seq=0)
        await socket.close(1012)

    async def faulty(socket: Socket) -> None:
        await socket.refuse(await socket.asked(), "internal")
        await socket.idle()

    async def well(socket: Socket) -> None:
        await socket.reply(await socket.asked(), channel="account", account=1, seq=0)
        await socket.events(1)
        await socket.idle()

    async with server.stream(subscribed, faulty, well) as stream:
        await stream.subscribe_account(1, since=0)
        (event,) = await taken(stream, 1)

    assert event.seq == 1


async def test_a_fault_each_time_is_told_and_the_rest_goes_on(server: Server) -> None:
    async def subscribed(socket: Socket) -> None:
        await socket.reply(await socket.asked(), channel="account", account=1, seq=0)
        await socket.close(1012)

    async def faulty(socket: Socket) -> None:
        await socket.refuse(await socket.asked(), "internal")
        await socket.idle()

    async with server.stream(subscribed, faulty) as stream:
        await stream.subscribe_account(1, since=0)
        with pytest.raises(errors.ServerFault):
            await taken(stream, 1)
        assert (await stream.request("ping"))["t"] == 1

    assert len(server.tickets) == 1 + 6  # five times again


async def test_a_stream_ends_when_its_login_does(server: Server) -> None:
    async def ended(socket: Socket) -> None:
        await socket.close(4410)

    with pytest.raises(errors.NotAuthenticated):
        async with server.stream(ended):
            pass

    assert server.tickets == ["/ws?ticket=t"] * 2


async def test_a_refused_ticket_ends_the_stream(server: Server) -> None:
    def refused() -> str:
        raise errors.NotAuthenticated("log in again", status=401)

    with pytest.raises(errors.NotAuthenticated, match="log in again"):
        async with server.stream(idle, ticket=refused):
            pass
