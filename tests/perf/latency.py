"""
Latency at 200 orders/s, open loop: `p99_order_ms`, `p99_positions_ms`, `p99_health_ms`, `p99_tick_ms`.

All four are measured in the same half minute: orders on a fixed schedule, positions of accounts that hold
ten, liveness, and the age of every quote that reaches a WebSocket (from the time the engine stamped on
the tick, by the clock of the same machine). Latency counts from the scheduled instant of a request, not
from its sending.
"""

import time
from typing import Any

from tests.perf.broker import Broker, NotMeasured, Say, Trader, call, run_load
from tests.perf.figures import Figure

NAMES = ("p99_order_ms", "p99_positions_ms", "p99_health_ms", "p99_tick_ms")
ORDERS_PER_S = 200
READS_PER_S = 20
SECONDS = 30.0
WARMUP_S = 5.0
PRICES_WAIT_S = 30.0
HELD = {
    "EURUSD": "0.10",
    "GBPUSD": "0.10",
    "USDJPY": "0.10",
    "NZDUSD": "0.10",
    "EURGBP": "0.10",
    "USDCHF": "0.10",
    "AUDUSD": "0.10",
    "XAUUSD": "0.01",
    "BTCUSD": "0.01",
    "WTI": "0.01",
}
PARTS = (
    ("p99_order_ms", "orders", 100, f"{ORDERS_PER_S} orders/s over REST"),
    (
        "p99_positions_ms",
        "positions",
        50,
        f"GET /api/positions, {READS_PER_S}/s, {len(HELD)} positions each",
    ),
    ("p99_health_ms", "health", 10, f"GET /health, {READS_PER_S}/s"),
    ("p99_tick_ms", "ticks", 20, "the engine's stamp on a tick to its receipt on a WebSocket"),
)


def run(broker: Broker, say: Say) -> list[Figure]:
    """Measure all four under one load."""
    broker.start("web", "stream", "engine")
    _open_positions(broker)
    before = broker.filled_orders()
    plan = {
        "web_port": broker.stack.web_port,
        "stream_port": broker.stack.stream_port,
        "tag": "open",
        "seconds": SECONDS,
        "warmup_s": WARMUP_S,
        "quotes": {"token": broker.traders[0].token, "symbols": list(HELD)},
        "streams": {
            "orders": {
                "per_s": ORDERS_PER_S,
                "clients": [[trader.login, trader.token] for trader in broker.traders],
            },
            "positions": {
                "per_s": READS_PER_S,
                "clients": [[holder.login, holder.token] for holder in broker.holders],
            },
            "health": {"per_s": READS_PER_S, "clients": [[0, ""]] * 2},
        },
    }
    result = run_load("tests.perf.open_load", plan, timeout_s=SECONDS + WARMUP_S + 60)
    problems = {name: part["problems"] for name, part in result.items() if part["problems"]}
    if problems:
        raise NotMeasured(f"the load was not answered as it should be: {problems}")
    if broker.filled_orders() - before != result["orders"]["acknowledged"]:
        raise NotMeasured("the database does not hold the orders that were acknowledged")
    for name, part in result.items():
        say(f"  {name}: {part['count']} samples, p50 {part['p50_ms']:.1f}, p99 {part['p99_ms']:.1f} ms")
    return [_figure(name, result[part], limit_ms, what) for name, part, limit_ms, what in PARTS]


def _figure(name: str, part: dict[str, Any], limit_ms: int, what: str) -> Figure:
    if part["count"] < 100:
        raise NotMeasured(f"{name}: only {part['count']} samples")
    return Figure(
        name=name,
        value=round(part["p99_ms"], 2),
        unit="ms",
        target=f"<= {limit_ms}",
        ok=part["p99_ms"] <= limit_ms,
        detail=(
            f"{what}; open loop at {ORDERS_PER_S} orders/s for {SECONDS:g} s, {part['count']} samples, "
            f"p50 {part['p50_ms']:.1f} ms, worst {part['max_ms']:.1f} ms"
        ),
    )


def _open_positions(broker: Broker) -> None:
    """Let every holder buy one position in each of ten symbols, over REST."""
    deadline = time.monotonic() + PRICES_WAIT_S
    for holder in broker.holders:
        for symbol, volume in HELD.items():
            while not _bought(broker, holder, symbol, volume):
                if time.monotonic() > deadline:
                    raise NotMeasured(f"{symbol} had no price in time")
                time.sleep(0.2)


def _bought(broker: Broker, holder: Trader, symbol: str, volume: str) -> bool:
    """Buy; False: a process that was just started has not heard this price yet."""
    order = {
        "account": holder.login,
        "symbol": symbol,
        "side": "buy",
        "volume": volume,
        "client_order_id": f"hold-{symbol}-{time.monotonic_ns()}",
    }
    port = broker.stack.web_port
    status, answer = call(port, "POST", "/api/orders/market", body=order, token=holder.token)
    if status != 201 or (answer["status"] != "filled" and answer["reject_reason"] != "off_quotes"):
        raise NotMeasured(f"{symbol} could not be bought: {status} {answer}")
    return bool(answer["status"] == "filled")
