"""The quote hub: one encoding per audience, conflation for slow clients, bounded buffers."""

from collections.abc import Iterable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from apps.market.domain.quotes import Quote
from apps.trading.consumers.connection import STALL_MAX_S, CloseCode, Connection
from apps.trading.consumers.frames import json_frame, quotes_frame
from apps.trading.consumers.hub import QuoteHub
from tests.factories.stream import FakeWire

STANDARD, RAW, SAME_AS_STANDARD = 1, 2, 3
BUFFER_MAX_BYTES = 4_096


def terms(symbol: str, *, bid_points: int, ask_points: int) -> Any:
    return SimpleNamespace(
        symbol=SimpleNamespace(name=symbol, digits=5, point=Decimal("0.00001")),
        markup_bid_points=Decimal(bid_points),
        markup_ask_points=Decimal(ask_points),
        profile=(Decimal(bid_points), Decimal(ask_points)),
    )


BOOK = {
    **{(STANDARD, name): terms(name, bid_points=2, ask_points=3) for name in ("EURUSD", "GBPUSD", "USDJPY")},
    **{(SAME_AS_STANDARD, name): terms(name, bid_points=2, ask_points=3) for name in ("EURUSD", "GBPUSD")},
    (RAW, "EURUSD"): terms("EURUSD", bid_points=0, ask_points=0),
}


def terms_of(group_id: int, symbol: str) -> Any:
    return BOOK.get((group_id, symbol))


def tick(symbol: str, bid: str, ask: str, time_ms: int = 1) -> Quote:
    return Quote(symbol=symbol, bid=Decimal(bid), ask=Decimal(ask), time_ms=time_ms)


@pytest.fixture
def hub() -> QuoteHub:
    return QuoteHub(terms_of)


def join(hub: QuoteHub, symbols: Iterable[str], *, group_id: int = STANDARD) -> tuple[Connection, FakeWire]:
    wire = FakeWire()
    connection = Connection(wire=wire, buffer_max_bytes=BUFFER_MAX_BYTES, compose=quotes_frame)
    hub.subscribe(connection, group_id=group_id, symbols=symbols)
    return connection, wire


def quotes(wire: FakeWire) -> list[list[tuple[str, str, str]]]:
    return [[(q["s"], q["b"], q["a"]) for q in message["q"]] for message in wire.messages()]


def test_a_client_gets_the_price_of_its_group(hub):
    _, standard = join(hub, ["EURUSD"])
    _, raw = join(hub, ["EURUSD"], group_id=RAW)

    hub.publish([tick("EURUSD", "1.10000", "1.10010")])

    assert quotes(standard) == [[("EURUSD", "1.09998", "1.10013")]]
    assert quotes(raw) == [[("EURUSD", "1.10000", "1.10010")]]


def test_one_batch_is_one_message_with_the_latest_quote_per_symbol(hub):
    _, wire = join(hub, ["EURUSD", "GBPUSD"])

    hub.publish(
        [
            tick("EURUSD", "1.10000", "1.10010"),
            tick("GBPUSD", "1.30000", "1.30010"),
            tick("EURUSD", "1.10020", "1.10030"),
        ]
    )

    assert quotes(wire) == [[("EURUSD", "1.10018", "1.10033"), ("GBPUSD", "1.29998", "1.30013")]]


def test_the_same_bytes_go_to_every_client_with_the_same_streams(hub):
    wires = [join(hub, ["EURUSD", "GBPUSD"], group_id=group)[1] for group in (STANDARD, SAME_AS_STANDARD)]

    hub.publish([tick("EURUSD", "1.10000", "1.10010")])

    assert wires[0].frames[0] is wires[1].frames[0]


def test_clients_with_different_symbols_share_the_encoding_of_a_common_tick(hub):
    _, one = join(hub, ["EURUSD"])
    _, both = join(hub, ["EURUSD", "GBPUSD"])

    hub.publish([tick("EURUSD", "1.10000", "1.10010")])

    assert one.frames[0] is both.frames[0]


def test_a_subscriber_gets_a_snapshot_of_what_is_known(hub):
    join(hub, ["EURUSD"])
    hub.publish([tick("EURUSD", "1.10000", "1.10010"), tick("GBPUSD", "1.30000", "1.30010")])

    _, wire = join(hub, ["GBPUSD", "EURUSD", "USDJPY"])

    assert quotes(wire) == [[("EURUSD", "1.09998", "1.10013"), ("GBPUSD", "1.29998", "1.30013")]]


def test_a_slow_client_gets_the_latest_quote_per_symbol_once_it_reads(hub):
    _, wire = join(hub, ["EURUSD", "GBPUSD"])
    wire.full = True
    for step in range(1_000):
        hub.publish([tick("EURUSD", f"1.{10_000 + step}", f"1.{10_010 + step}")])
    hub.publish([tick("GBPUSD", "1.30000", "1.30010")])

    wire.read_again()

    assert quotes(wire) == [[("EURUSD", "1.10997", "1.11012"), ("GBPUSD", "1.29998", "1.30013")]]


def test_a_slow_client_does_not_hold_up_another(hub):
    _, slow = join(hub, ["EURUSD"])
    _, fast = join(hub, ["EURUSD"])
    slow.full = True

    hub.publish([tick("EURUSD", "1.10000", "1.10010")])

    assert (len(slow.frames), len(fast.frames)) == (0, 1)


def test_a_slow_client_that_only_gets_quotes_never_grows(hub):
    connection, wire = join(hub, ["EURUSD"])
    wire.full = True

    for step in range(5_000):
        hub.publish([tick("EURUSD", "1.10000", "1.10010", step)])

    assert (connection.buffered_bytes(), connection.conflated, wire.closed) == (0, 5_000, None)


def test_messages_that_must_arrive_close_a_client_that_lets_them_pile_up(hub):
    connection, wire = join(hub, ["EURUSD"])
    wire.full = True
    frame = json_frame({"ch": "account", "text": "x" * 990})

    for _ in range(4):
        connection.send(frame)
    assert wire.closed is None
    connection.send(frame)

    assert wire.closed == (CloseCode.TOO_SLOW, "more than 4096 bytes waiting")
    assert connection.buffered_bytes() == 0


def test_replies_keep_their_order_and_come_before_conflated_quotes(hub):
    connection, wire = join(hub, ["EURUSD"])
    wire.full = True
    connection.send(json_frame({"id": 1}))
    hub.publish([tick("EURUSD", "1.10000", "1.10010")])
    connection.send(json_frame({"id": 2}))

    wire.read_again()

    messages = wire.messages()
    assert [message.get("id", message.get("ch")) for message in messages] == [1, 2, "quotes"]


def test_a_frame_with_the_same_key_replaces_the_waiting_one(hub):
    connection, wire = join(hub, [])
    wire.full = True
    connection.push_latest(("EURUSD", "1m", 0), json_frame({"close": 1}))
    connection.push_latest(("EURUSD", "1m", 60), json_frame({"close": 2}))
    connection.push_latest(("EURUSD", "1m", 60), json_frame({"close": 3}))

    wire.read_again()

    assert wire.messages() == [{"close": 1}, {"close": 3}]


def test_a_client_that_takes_nothing_for_too_long_is_closed(hub):
    connection, wire = join(hub, ["EURUSD"])
    wire.full = True

    connection.check_stall(100.0)
    connection.check_stall(100.0 + STALL_MAX_S - 1)
    assert wire.closed is None
    connection.check_stall(100.0 + STALL_MAX_S)

    assert wire.closed == (CloseCode.TOO_SLOW, "nothing was read for too long")


def test_unsubscribing_ends_one_symbol(hub):
    connection, wire = join(hub, ["EURUSD", "GBPUSD"])

    hub.unsubscribe(connection, ["EURUSD"])
    hub.publish([tick("EURUSD", "1.10000", "1.10010"), tick("GBPUSD", "1.30000", "1.30010")])

    assert quotes(wire) == [[("GBPUSD", "1.29998", "1.30013")]]


def test_a_waiting_quote_of_an_unsubscribed_symbol_is_dropped(hub):
    connection, wire = join(hub, ["EURUSD", "GBPUSD"])
    wire.full = True
    hub.publish([tick("EURUSD", "1.10000", "1.10010"), tick("GBPUSD", "1.30000", "1.30010")])

    hub.unsubscribe(connection, ["EURUSD"])
    wire.read_again()

    assert quotes(wire) == [[("GBPUSD", "1.29998", "1.30013")]]


def test_subscribing_again_keeps_the_stream(hub):
    connection, wire = join(hub, ["EURUSD"])

    hub.subscribe(connection, group_id=STANDARD, symbols=["EURUSD"])
    hub.publish([tick("EURUSD", "1.10000", "1.10010")])

    assert quotes(wire) == [[("EURUSD", "1.09998", "1.10013")]]


def test_nothing_is_kept_for_clients_that_left(hub):
    connections = [join(hub, ["EURUSD", "GBPUSD"])[0] for _ in range(3)]

    for connection in connections:
        hub.leave(connection)
    hub.publish([tick("EURUSD", "1.10000", "1.10010")])

    assert (hub._audiences, hub._streams, hub._audience_of, hub._wishes) == ({}, {}, {}, {})
    assert hub._by_symbol == {"EURUSD": [], "GBPUSD": []}


def test_changed_terms_change_the_price_at_once(hub):
    _, wire = join(hub, ["EURUSD"])
    hub.publish([tick("EURUSD", "1.10000", "1.10010")])
    wire.messages()

    hub.reprice(lambda group_id, symbol: terms(symbol, bid_points=10, ask_points=10))

    assert quotes(wire) == [[("EURUSD", "1.09990", "1.10020")]]


def test_a_symbol_that_is_no_longer_offered_falls_silent(hub):
    _, wire = join(hub, ["EURUSD", "GBPUSD"])

    hub.reprice(lambda group_id, symbol: None if symbol == "EURUSD" else terms_of(group_id, symbol))
    hub.publish([tick("EURUSD", "1.10000", "1.10010"), tick("GBPUSD", "1.30000", "1.30010")])

    assert quotes(wire) == [[("GBPUSD", "1.29998", "1.30013")]]


def test_restored_quotes_never_replace_newer_ones(hub):
    _, wire = join(hub, ["EURUSD", "GBPUSD"])
    hub.publish([tick("EURUSD", "1.10000", "1.10010", time_ms=50)])
    wire.messages()

    hub.restore({"EURUSD": tick("EURUSD", "1.0", "1.0", 49), "GBPUSD": tick("GBPUSD", "1.30000", "1.30010")})

    assert quotes(wire) == [[("GBPUSD", "1.29998", "1.30013")]]


def test_prices_follow_an_account_to_another_group(hub):
    connection, wire = join(hub, ["EURUSD"])
    hub.publish([tick("EURUSD", "1.10000", "1.10010")])

    hub.regroup(connection, {"EURUSD": STANDARD})
    hub.regroup(connection, {"EURUSD": RAW, "GBPUSD": RAW})  # GBPUSD was never asked for
    hub.publish([tick("EURUSD", "1.20000", "1.20010")])

    assert quotes(wire) == [
        [("EURUSD", "1.09998", "1.10013")],
        [("EURUSD", "1.10000", "1.10010")],
        [("EURUSD", "1.20000", "1.20010")],
    ]
    assert hub.subscribed(connection) == ["EURUSD"]
