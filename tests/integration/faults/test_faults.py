"""Faults of real processes under load: no acknowledged order is lost, none is doubled, all comes back."""

import time
from collections import Counter

import pytest

from rtx.local.stack import Stack
from tests.integration.faults.clients import Caller, Load, eventually

pytestmark = pytest.mark.serial

UNDER_LOAD = 40  # orders acknowledged before something is broken


def _books_are_clean(stack: Stack) -> None:
    assert "The books agree" in stack.manage("verify_books", "--workers", "1", "--verbosity", "0")


def _nothing_lost_nothing_twice(load: Load) -> None:
    """Compare what clients were told with what the broker says now, and with what a repeat brings."""
    for caller, log in zip(load.callers, load.logs, strict=True):
        stored = caller.orders()
        assert max(Counter(order["client_order_id"] for order in stored).values()) == 1
        by_id = {order["client_order_id"]: order for order in stored}
        for name, told in log.acknowledged.items():
            assert by_id[name] == {key: value for key, value in told.items() if key in by_id[name]}
        for name in list(log.acknowledged)[-5:]:
            repeated = caller.order(name, side=log.sides[name])
            assert (repeated.status, repeated.body) == (201, log.acknowledged[name])


def test_web_killed_under_load_loses_no_acknowledged_order(stack: Stack, trading: list[Caller]):
    with Load(trading, tag="kill") as load:
        eventually(lambda: load.acknowledged > UNDER_LOAD, "load", within_s=20, seen=load.answered)
        stack.kill("web")
        stack.start("web")
        up = time.monotonic()
        eventually(lambda: load.filled_since(up), "orders to be filled", within_s=15, seen=load.answered)

    assert {status for status, _ in load.answered()} <= {0, 201}  # the connection breaks, nothing else
    _nothing_lost_nothing_twice(load)
    _books_are_clean(stack)


@pytest.mark.parametrize("fault", ["flush", "restart", "crash"])
def test_redis_lost_costs_at_worst_off_quotes(stack: Stack, trading: list[Caller], fault: str):
    with Load(trading, tag=f"redis-{fault}") as load:
        eventually(lambda: load.acknowledged > UNDER_LOAD, "load", within_s=20, seen=load.answered)
        if fault == "flush":
            stack.flush_redis()
        else:
            stack.restart_redis(crash=fault == "crash")
        broken = time.monotonic()
        quoted = trading[0].call("GET", "/api/quotes?symbols=EURUSD").body["results"][0]["time"]
        eventually(lambda: load.filled_since(broken), "orders to be filled", within_s=15, seen=load.answered)
        eventually(
            lambda: trading[0].call("GET", "/api/quotes?symbols=EURUSD").body["results"][0]["time"] > quoted,
            "quotes to move again",
            within_s=15,
        )

    assert set(load.answered()) <= {(201, ""), (201, "off_quotes")}
    _nothing_lost_nothing_twice(load)
    _books_are_clean(stack)


@pytest.mark.parametrize("fault", ["restart", "crash", "outage"])
def test_postgres_restarted_is_a_clear_503_and_comes_back(stack: Stack, trading: list[Caller], fault: str):
    with Load(trading, tag=f"postgres-{fault}") as load:
        eventually(lambda: load.acknowledged > UNDER_LOAD, "load", within_s=20, seen=load.answered)
        if fault == "outage":
            stack.postgres.stop()
            eventually(lambda: load.answered()[503, "unavailable"] > 12, "refusals", within_s=60)
            stack.postgres.start()
        else:
            stack.restart_postgres(crash=fault == "crash")
        up = time.monotonic()
        eventually(lambda: load.filled_since(up), "orders to be filled", within_s=10, seen=load.answered)
    reads = {caller.call("GET", f"/api/positions?account={caller.login}").status for caller in trading * 3}

    assert reads == {200}  # no connection from before is left to stumble over
    assert set(load.answered()) <= {
        (201, ""),
        (201, "off_quotes"),
        (503, "unavailable"),
        (503, "outcome_unknown"),
    }
    _nothing_lost_nothing_twice(load)
    _books_are_clean(stack)


def test_without_an_engine_orders_are_off_quotes_until_it_is_back(stack: Stack, trading: list[Caller]):
    caller = trading[0]
    stack.kill("engine")

    def off_quotes() -> bool:
        return caller.order(f"engine-{time.monotonic_ns()}").code == "off_quotes"

    took_s = eventually(off_quotes, "quotes to age", within_s=10)
    assert took_s > 2  # not before the symbol's limit of 3 s

    stack.start("engine")
    eventually(
        lambda: caller.order(f"engine-{time.monotonic_ns()}").body.get("status") == "filled",
        "orders to be filled again",
        within_s=15,
    )
    _books_are_clean(stack)
