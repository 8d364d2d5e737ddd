"""
The SQL sweep of a large house: `sweep_s`, and how it grows: `sweep_growth`.

One account trades with real orders; its rows of accounts, states and positions are multiplied, measured with
50,000 and with 500,000 positions, and deleted again. Measured is all that a run does before it hands anybody
over: the prices of all groups, the statement, the accounts found. Medians are reported.
"""

import time
from typing import Any

import psycopg

from tests.perf import rollover
from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("sweep_s", "sweep_growth")
SMALL, LARGE = 10_000, 100_000  # accounts with five positions each
BELOW = 100  # of them below stop-out
RUNS = 5
TARGET_S = 1.5
GROWTH_MAX = 15.0
KEYS = {
    "accounts_tradingaccount": "id",
    "accounts_accountstate": "account_id",
    "trading_position": "account_id",
}
OWN = {"accounts_tradingaccount": ("id", "login"), "trading_position": ("id",)}


def run(broker: Broker, say: Say) -> list[Figure]:
    """Make the house in two steps, look at it, delete it."""
    broker.stop("web", "stream", "engine")
    from apps.groups.models import TradingGroup

    group = TradingGroup.objects.create(name="sweep", leverage_max=500)
    template = rollover._template(group)
    seconds: dict[int, float] = {}
    with psycopg.connect(broker.stack.owner_url, autocommit=True) as owner:
        first = _scalar(owner, "SELECT max(id) + 1 FROM accounts_tradingaccount")
        try:
            made = 0
            for accounts in (SMALL, LARGE):
                _multiply(owner, template, first=first + made, count=accounts - made)
                made = accounts
                if accounts == LARGE:
                    _impoverish(owner, first)
                seconds[accounts] = _median(5 * accounts, BELOW if accounts == LARGE else 0)
                say(f"  {5 * accounts:,} positions in {seconds[accounts]:.3f} s")
        finally:
            for table, key in reversed(KEYS.items()):
                owner.execute(f"DELETE FROM {table} WHERE {key} >= %s", [first])
            owner.execute("VACUUM ANALYZE")
    growth = seconds[LARGE] / seconds[SMALL]
    return [
        Figure(
            name="sweep_s",
            value=seconds[LARGE],
            unit="s",
            target=f"<= {TARGET_S}",
            ok=seconds[LARGE] <= TARGET_S,
            detail=f"{5 * LARGE:,} positions on {LARGE:,} accounts, {BELOW} of them found; median of {RUNS}",
        ),
        Figure(
            name="sweep_growth",
            value=growth,
            unit="x",
            target=f"<= {GROWTH_MAX:.0f}",
            ok=growth <= GROWTH_MAX,
            detail=f"ten times the {5 * SMALL:,} positions of {seconds[SMALL]:.3f} s",
        ),
    ]


def _median(positions: int, below: int) -> float:
    from apps.risk.selectors import sweep
    from apps.trading.selectors.markets import markets
    from rtx.kernel import clock

    spent = []
    for _ in range(RUNS):
        started = time.perf_counter()
        found = sweep.below_stop_out(markets(now=clock.now()))
        spent.append(time.perf_counter() - started)
        if found.positions < positions or len(found.found) != below:
            raise NotMeasured(f"{found.positions} positions were seen, {len(found.found)} accounts found")
    return sorted(spent)[RUNS // 2]


def _multiply(owner: psycopg.Connection[Any], template: int, *, first: int, count: int) -> None:
    """Insert copies of an account's present rows; nothing of its history."""
    logins = _scalar(owner, "SELECT max(login) FROM accounts_tradingaccount")
    tickets = _scalar(owner, "SELECT greatest(max(id), 8000000000) FROM trading_position")
    given = {"template": template, "first": first, "count": count, "logins": logins, "tickets": tickets}
    for table, key in KEYS.items():
        found = owner.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
        ).fetchall()
        same = [name for (name,) in found if name != key and name not in OWN.get(table, ())]
        values = {
            "accounts_tradingaccount": "%(first)s + n, %(logins)s + 1 + n",
            "accounts_accountstate": "%(first)s + n",
            "trading_position": "%(first)s + n, %(tickets)s + row_number() OVER ()",
        }[table]
        own = [key, *(name for name in OWN.get(table, ()) if name != key)]
        owner.execute(
            f"INSERT INTO {table} ({', '.join([*own, *same])}) SELECT {values}, {', '.join(same)} "
            f"FROM {table}, generate_series(0, %(count)s - 1) n WHERE {key} = %(template)s",
            given,
        )
    owner.execute("ANALYZE")


def _impoverish(owner: psycopg.Connection[Any], first: int) -> None:
    """Leave some accounts without money, spread over the house."""
    owner.execute(
        "UPDATE accounts_accountstate SET balance = 0 WHERE account_id >= %s AND (account_id - %s) %% %s = 0",
        [first, first, LARGE // BELOW],
    )


def _scalar(owner: psycopg.Connection[Any], statement: str) -> int:
    row = owner.execute(statement).fetchone()
    assert row is not None
    return int(row[0])
