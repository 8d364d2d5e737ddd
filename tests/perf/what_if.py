"""
How long a what-if on 100,000 accounts takes: `what_if_s` when all of them are read, `what_if_again_s` when
the process has answered one before and 1,000 accounts changed meanwhile; and how long an edit of terms is
looked at before it is saved (`terms_check_s`).

Of each shock the median of the rounds, of the shocks the slowest counts. The list of the worst accounts is
computed exactly, as always. What the first question in a process takes, and one of the same second, is told
beside it.
"""

import statistics
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg

from tests.perf import large_house
from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("what_if_s", "what_if_again_s", "terms_check_s")
TARGET_S, TARGET_AGAIN_S, TARGET_TERMS_S = 1.0, 0.5, 1.5
ROUNDS = 3
CHANGED = 1_000
TRADED = """
    WITH one AS (
        UPDATE accounts_accountstate SET seq = seq + 1, balance = balance + 0.01
        WHERE account_id %% %(step)s = 0 AND account_id IN (
            SELECT id FROM accounts_tradingaccount WHERE login > 50000000
        ) RETURNING account_id, seq
    ), two AS (
        UPDATE trading_position SET swap = swap - 0.01 WHERE account_id IN (SELECT account_id FROM one)
    )
    INSERT INTO accounts_accountevent
        (account_id, seq, type, at, command_id, fingerprint, actor, request_id, payload)
    SELECT account_id, seq, 'swap_charged', now(), gen_random_uuid(), '', 'bench', '', '{}' FROM one
"""


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

    def slowest(prepare: Callable[[], object], title: str) -> float:
        medians: dict[str, float] = {}
        for name, shock in shocks.items():
            rounds = []
            for _ in range(ROUNDS):
                prepare()
                rounds.append(asked(shock))
            _check(found)
            medians[name] = statistics.median(rounds)
            say(f"  {name}, {title}: {medians[name]:.2f} s, {found['newly_closed']:,} would be closed")
        return max(medians.values())

    found: dict[str, Any] = {}
    first = asked(shocks["prices"])  # learns what positions have in common, once a process
    kept = asked(shocks["prices"])
    worst = slowest(snapshot.forget_snapshot, "all read")
    with psycopg.connect(broker.stack.owner_url, autocommit=True) as owner:
        again = slowest(lambda: _trade(owner, snapshot.KEPT_S), f"{CHANGED:,} accounts read")
    return [
        Figure(
            name="what_if_s",
            value=worst,
            unit="s",
            target=f"<= {TARGET_S:.0f}",
            ok=worst <= TARGET_S,
            detail=f"{found['accounts']:,} accounts, {found['positions']:,} positions, slowest of "
            f"{len(shocks)} shocks, each the median of {ROUNDS}, all read anew; first of a process "
            f"{first:.2f} s, in the same second {kept:.2f} s",
        ),
        Figure(
            name="what_if_again_s",
            value=again,
            unit="s",
            target=f"<= {TARGET_AGAIN_S}",
            ok=again <= TARGET_AGAIN_S,
            detail=f"likewise, {CHANGED:,} accounts changed since the question before and are read anew",
        ),
        _terms_checked(group.pk, say),
    ]


def _terms_checked(group_id: int, say: Say) -> Figure:
    """Measure what an edit of a group's terms waits for: everybody whom it would push, the worst exactly."""
    from apps.groups.selectors import terms_book
    from apps.risk.domain.shocks import GroupDraft, Shock
    from apps.risk.selectors import snapshot
    from apps.risk.selectors.terms_impact import impact_of
    from apps.risk.selectors.what_if_arrays import drafted

    edits = {
        "leverage": GroupDraft(leverage_max=50),
        "markup": GroupDraft(markup_bid_points=Decimal(60)),
        "levels": GroupDraft(margin_call_pct=Decimal(150), stop_out_pct=Decimal(120)),
    }
    book = terms_book()
    medians = {}
    for name, draft in edits.items():
        after = drafted(book, Shock(groups={group_id: draft}))
        rounds = []
        for _ in range(ROUNDS):
            snapshot.forget_snapshot()
            started = time.perf_counter()
            impact = impact_of(book, after, reach=None)
            rounds.append(time.perf_counter() - started)
        medians[name] = statistics.median(rounds)
        pushed = f"{impact.called:,} would be called, {impact.closed:,} closed"
        say(f"  edit of {name}: {medians[name]:.2f} s, {pushed}, {len(impact.hits)} listed")
    worst = max(medians.values())
    return Figure(
        name="terms_check_s",
        value=worst,
        unit="s",
        target=f"<= {TARGET_TERMS_S}",
        ok=worst <= TARGET_TERMS_S,
        detail=f"an edit of the house's group, all accounts read anew: slowest of {len(edits)} edits, each "
        f"the median of {ROUNDS}",
    )


def _trade(owner: psycopg.Connection[Any], pause_s: float) -> None:
    """Change accounts as if they were charged swaps, and let the snapshot of the question before age."""
    owner.execute(TRADED, {"step": large_house.ACCOUNTS // CHANGED})
    time.sleep(pause_s)


def _check(found: dict[str, Any]) -> None:
    worst = found["worst"]
    if found["accounts"] < large_house.ACCOUNTS or found["unpriced"]["accounts"] or not worst:
        raise NotMeasured(f"the answer makes no sense: {found['accounts']} accounts, {len(worst)} listed")
    if not found["newly_closed"]:
        raise NotMeasured("nobody would be closed: the shock is no shock")
