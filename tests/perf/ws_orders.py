"""
Orders over WebSocket against pgbench with the same statements, one transaction per order:
`ws_orders_vs_pgbench`.

Both have 64 clients, the same server and durability; runs are interleaved and medians compared. Web is
stopped meanwhile: what is measured has the cores to itself, but for the engine, which goes on delivering
prices.
"""

from statistics import median

from django.db import connection

from tests.perf import pgbench
from tests.perf.broker import CONNECTIONS, Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("ws_orders_vs_pgbench",)
PATH = "/ws"
PAIRS = 3
SECONDS = 8.0
WARMUP_S = 2.0


def run(broker: Broker, say: Say) -> list[Figure]:
    """Measure both in turn."""
    broker.start("web", "stream", "engine")  # web: traders log in there
    before = broker.filled_orders()
    first = _orders(broker, seconds=1.0, warmup_s=1.0)
    broker.stop("web", "stream", "engine")
    connection.close()
    connection.close_pool()
    pgbench.clone(broker)
    script = pgbench.write_script(broker)
    pgbench.run(broker, script, number=0, seconds=WARMUP_S)
    broker.start("stream", "engine")
    acknowledged = first["acknowledged"]
    own: list[float] = []
    bare: list[float] = []
    p99_ms: list[float] = []
    for pair in range(PAIRS):
        result = _orders(broker, seconds=SECONDS, warmup_s=WARMUP_S)
        acknowledged += result["acknowledged"]
        own.append(result["per_s"])
        p99_ms.append(result["p99_ms"])
        bare.append(pgbench.run(broker, script, number=pair + 1, seconds=SECONDS))
        say(f"  run {pair + 1}: {own[-1]:,.0f} orders/s, pgbench {bare[-1]:,.0f}/s")
    stored = broker.filled_orders() - before
    if stored != acknowledged:
        raise NotMeasured(f"{acknowledged} orders were acknowledged as filled, the database holds {stored}")
    say(f"  {acknowledged:,} orders acknowledged, all of them stored. {broker.verify()}")
    ratio = median(own) / median(bare)
    return [
        Figure(
            name="ws_orders_vs_pgbench",
            value=round(ratio, 2),
            unit="x",
            target=">= 0.6",
            ok=ratio >= 0.6,
            detail=(
                f"{median(own):.0f} orders/s over {CONNECTIONS} WebSockets (p99 {median(p99_ms):.0f} ms), "
                f"{median(bare):.0f} transactions/s of pgbench -M prepared with {CONNECTIONS} clients, "
                f"medians of {PAIRS} interleaved runs of {SECONDS:g} s; {acknowledged} acknowledged orders "
                "all stored, books verified"
            ),
        )
    ]


def _orders(broker: Broker, *, seconds: float, warmup_s: float) -> dict[str, float]:
    return broker.orders(
        kind="ws", port=broker.stack.stream_port, path=PATH, seconds=seconds, warmup_s=warmup_s
    )
