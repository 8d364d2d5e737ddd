"""
How long a what-if on 100,000 accounts takes: `what_if_s`.

Each question is asked of a fresh snapshot, so that reading all accounts and positions is part of it; of each
shock the median of the rounds, of the shocks the slowest counts. The list of the worst accounts is computed
exactly, as always. What the first question in a process takes, and one on a kept snapshot, is told beside it.
"""

import statistics
import time
from decimal import Decimal
from typing import Any

from tests.perf import large_house
from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("what_if_s",)
TARGET_S = 1.0
ROUNDS = 3


def run(broker: Broker, say: Say) -> list[Figure]:
    """Make the house, ask, check that the answers make sense."""
    from apps.risk.domain.shocks import GroupDraft, Shock
    from apps.risk.selectors import snapshot, what_if

    group = large_house.make(broker, say)
    shocks = {
        "prices": Shock(price_pct=Decimal(1)),  # the metal is sold, the largest part of the house
        "one symbol and spreads": Shock(prices_pct={"XAUUSD": Decimal(4)}, spread_pct=Decimal(300)),
        "leverage": Shock(groups={group.pk: GroupDraft(leverage_max=50)}),
        "levels": Shock(
            groups={group.pk: GroupDraft(margin_call_pct=Decimal(150), stop_out_pct=Decimal(120))}
        ),
    }

    def asked(shock: Shock) -> float:
        nonlocal found
        started = time.perf_counter()
        found = what_if.what_if(shock, reach=None)
        return time.perf_counter() - started

    found: dict[str, Any] = {}
    first = asked(shocks["prices"])  # learns what positions have in common, once a process
    kept = asked(shocks["prices"])
    medians: dict[str, float] = {}
    for name, shock in shocks.items():
        rounds = []
        for _ in range(ROUNDS):
            snapshot.forget_snapshot()
            rounds.append(asked(shock))
        _check(found)
        medians[name] = statistics.median(rounds)
        say(f"  {name}: {medians[name]:.2f} s, {found['newly_closed']:,} would be closed")
    worst = max(medians.values())
    return [
        Figure(
            name="what_if_s",
            value=worst,
            unit="s",
            target=f"<= {TARGET_S:.0f}",
            ok=worst <= TARGET_S,
            detail=f"{found['accounts']:,} accounts, {found['positions']:,} positions, slowest of "
            f"{len(shocks)} shocks, each the median of {ROUNDS}, snapshot included; first of a process "
            f"{first:.2f} s, on a kept snapshot {kept:.2f} s",
        )
    ]


def _check(found: dict[str, Any]) -> None:
    worst = found["worst"]
    if found["accounts"] < large_house.ACCOUNTS or found["unpriced"]["accounts"] or not worst:
        raise NotMeasured(f"the answer makes no sense: {found['accounts']} accounts, {len(worst)} listed")
    if not found["newly_closed"] or worst[0]["after"]["state"] != "closed":
        raise NotMeasured("nobody would be closed: the shock is no shock")
