"""
How fast the books are derived again from the journal: `verify_events_per_s`.

The journal is the one that the other scenarios wrote; what it lacks to 50,000 events is added by real
orders, so that the figure does not depend on what ran before. Reported is the speed that `verify_books`
itself prints.
"""

import re

from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("verify_events_per_s",)
EVENTS_MIN = 50_000
RUNS = 3
ROUND_S = 10.0
ROUNDS_MAX = 12


def run(broker: Broker, say: Say) -> list[Figure]:
    """Fill the journal up, then verify it with nothing else running."""
    events = _events()
    if events < EVENTS_MIN:
        broker.start("web", "stream", "engine")  # web: traders log in there
    rounds = 0
    while events < EVENTS_MIN and rounds < ROUNDS_MAX:
        broker.orders(kind="ws", port=broker.stack.stream_port, path="/ws", seconds=ROUND_S, warmup_s=0.5)
        events, rounds = _events(), rounds + 1
    if events < EVENTS_MIN:
        raise NotMeasured(f"the journal holds {events} events after {rounds} rounds")
    broker.stop("web", "stream", "engine")
    speeds = []
    for _ in range(RUNS):
        said = broker.verify()
        found = re.search(r"([\d,]+) events/s", said)
        if found is None:
            raise NotMeasured(f"verify_books said: {said}")
        speeds.append(float(found.group(1).replace(",", "")))
        say(f"  {said}")
    usual = sorted(speeds)[len(speeds) // 2]
    return [
        Figure(
            name="verify_events_per_s",
            value=usual,
            unit="events/s",
            target=">= 20000",
            ok=usual >= 20_000,
            detail=(
                f"{events} events of {len(broker.traders) + len(broker.holders)} accounts, "
                f"median of {RUNS} runs"
            ),
        )
    ]


def _events() -> int:
    from apps.accounts.models import AccountEvent

    return AccountEvent.objects.count()
