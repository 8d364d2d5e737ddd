"""
How long a what-if on 100,000 accounts takes: `what_if_s`.

Each question is asked of a fresh snapshot, so that reading all accounts and positions is part of it; the
worst of several different shocks counts. The list of the worst accounts is computed exactly, as always.
"""

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
    what_if.what_if(shocks["prices"], reach=None)  # what positions have in common is learned once a process
    slowest: dict[str, float] = {}
    for name, shock in shocks.items():
        for _ in range(ROUNDS):
            snapshot.forget_snapshot()
            started = time.perf_counter()
            found = what_if.what_if(shock, reach=None)
            slowest[name] = min(slowest.get(name, 1e9), time.perf_counter() - started)
        _check(found)
        say(f"  {name}: {slowest[name]:.2f} s, {found['newly_closed']:,} would be closed")
    worst = max(slowest.values())
    return [
        Figure(
            name="what_if_s",
            value=worst,
            unit="s",
            target=f"<= {TARGET_S:.0f}",
            ok=worst <= TARGET_S,
            detail=f"{found['accounts']:,} accounts, {found['positions']:,} positions, best of {ROUNDS}, "
            f"slowest of {len(shocks)} shocks, snapshot included",
        )
    ]


def _check(found: dict[str, Any]) -> None:
    worst = found["worst"]
    if found["accounts"] < large_house.ACCOUNTS or found["unpriced"]["accounts"] or not worst:
        raise NotMeasured(f"the answer makes no sense: {found['accounts']} accounts, {len(worst)} listed")
    if not found["newly_closed"] or worst[0]["after"]["state"] != "closed":
        raise NotMeasured("nobody would be closed: the shock is no shock")
