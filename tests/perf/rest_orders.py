"""
Orders over REST, against the plain view on the same servers: `rest_orders_per_s` and
`rest_orders_vs_naive`.

Runs of both are interleaved and medians compared, so that what else the machine does hits both alike.
Afterwards the books of all accounts, written by both, must verify, and the database must hold every
acknowledged order.
"""

from statistics import median

from tests.perf.broker import CONNECTIONS, WEB_WORKERS, Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("rest_orders_per_s", "rest_orders_vs_naive")
PATH = "/api/orders/market"
PAIRS = 3
SECONDS = 8.0
WARMUP_S = 2.0


def run(broker: Broker, say: Say) -> list[Figure]:
    """Measure both servers in turn."""
    broker.start("web", "engine")
    broker.start_naive()
    before = broker.filled_orders()
    own: list[float] = []
    plain: list[float] = []
    p99_ms: list[float] = []
    acknowledged = 0
    for pair in range(PAIRS):
        for name, port, rates in (
            ("RTX", broker.stack.web_port, own),
            ("plain view", broker.naive_port, plain),
        ):
            result = broker.orders(kind="rest", port=port, path=PATH, seconds=SECONDS, warmup_s=WARMUP_S)
            acknowledged += result["acknowledged"]
            rates.append(result["per_s"])
            if rates is own:
                p99_ms.append(result["p99_ms"])
            say(f"  run {pair + 1}, {name}: {result['per_s']:,.0f} orders/s, p99 {result['p99_ms']:.0f} ms")
    broker.stop_naive()
    stored = broker.filled_orders() - before
    if stored != acknowledged:
        raise NotMeasured(f"{acknowledged} orders were acknowledged as filled, the database holds {stored}")
    books = broker.verify()
    say(f"  {acknowledged:,} orders acknowledged, all of them stored. {books}")
    how = (
        f"{WEB_WORKERS} web processes, {CONNECTIONS} keep-alive connections, closed loop, median of {PAIRS} "
        f"runs of {SECONDS:g} s ({_listed(own)}), p99 {median(p99_ms):.0f} ms; {acknowledged} acknowledged "
        "orders all stored, books verified"
    )
    ratio = median(own) / median(plain)
    return [
        Figure(
            name="rest_orders_per_s",
            value=round(median(own), 1),
            unit="orders/s",
            target=">= 1000",
            ok=median(own) >= 1000,
            detail=how,
        ),
        Figure(
            name="rest_orders_vs_naive",
            value=round(ratio, 2),
            unit="x",
            target=">= 2.0",
            ok=ratio >= 2,
            detail=(
                f"{median(own):.0f} against {median(plain):.0f} orders/s of the plain view "
                f"({_listed(plain)}), same granian command, database and rows, runs interleaved"
            ),
        ),
    ]


def _listed(rates: list[float]) -> str:
    return ", ".join(f"{rate:.0f}" for rate in rates)
