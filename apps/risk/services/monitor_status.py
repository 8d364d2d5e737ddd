"""
What a shard of the margin monitor tells about itself: figures of its portfolio, its row, how late it is.

The row is written by the leader alone, in the transaction that holds its lease. Decides nothing.
"""

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
from django.db import connection

from apps.risk.selectors.levels import ABOVE, BOUNDS
from apps.risk.services.portfolio import Portfolio

MINUTE = 60

WRITE = """
    INSERT INTO risk_monitorstatus
        (shard, holder, fence, at, started_at, accounts, positions, lag_ms, lag_max_ms, follow_lag_ms, levels,
         called, below, without_price, house_floating, counters, last_error)
    VALUES (%(shard)s, %(holder)s, %(fence)s, clock_timestamp(), %(started_at)s, %(accounts)s, %(positions)s,
            %(lag_ms)s, %(lag_max_ms)s, %(follow_lag_ms)s, %(levels)s, %(called)s, %(below)s,
            %(without_price)s, %(house_floating)s, %(counters)s, %(last_error)s)
    ON CONFLICT (shard) DO UPDATE SET
        holder = excluded.holder, fence = excluded.fence, at = excluded.at, started_at = excluded.started_at,
        accounts = excluded.accounts, positions = excluded.positions, lag_ms = excluded.lag_ms,
        lag_max_ms = excluded.lag_max_ms, follow_lag_ms = excluded.follow_lag_ms, levels = excluded.levels,
        called = excluded.called, below = excluded.below, without_price = excluded.without_price,
        house_floating = excluded.house_floating, counters = excluded.counters,
        last_error = excluded.last_error
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """A portfolio added up. `house_floating`: what the B-book would make if all closed now, in USD."""

    accounts: int
    positions: int
    levels: dict[str, int]
    called: int
    below: int
    without_price: int
    house_floating: Decimal | None


def figures(portfolio: Portfolio) -> Figures:
    """Add up a portfolio."""
    accounts = portfolio.accounts
    used = accounts.all
    equity = accounts.equity(used)
    valued = accounts.missing[used] == 0
    levels = accounts.levels(used, equity)[(accounts.margin[used] > 0.0) & valued]
    edges = np.array([-np.inf, *BOUNDS, np.inf])
    counted = np.diff(np.searchsorted(np.sort(levels), edges, side="right"))
    return Figures(
        accounts=accounts.count,
        positions=portfolio.positions,
        levels=dict(zip([*map(str, BOUNDS), ABOVE], counted.tolist(), strict=True)),
        called=int(np.count_nonzero(accounts.in_call[used])),
        below=int(np.count_nonzero((equity <= accounts.stop_at[used]) & valued)),
        without_price=portfolio.blind,
        house_floating=house_floating(portfolio),
    )


def house_floating(portfolio: Portfolio) -> Decimal | None:
    """Return what the B-book would make, in USD, at the feed's middle rates; None without a rate."""
    total = 0.0
    for block in portfolio.blocks:
        own = block.is_own[: block.count]
        worth = float((block.value[: block.count] + block.swap[: block.count])[own].sum())
        if worth:
            total -= worth * portfolio.prices.usd_per(block.currency)
    return Decimal(f"{total:.2f}") if np.isfinite(total) else None


@dataclass(slots=True)
class Lags:
    """
    How late revaluations are, by the monotonic clock. `working_since` is when the oldest tick that is not
    dealt with yet came.
    """

    last_ms: int = 0
    followed_at: float = 0.0
    working_since: float | None = None
    _second: float = 0.0
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=MINUTE))

    def note(self, seconds: float) -> None:
        """Note how long a batch took from its arrival until everything was revalued."""
        self.last_ms = round(seconds * 1000)
        self._second = max(self._second, seconds)

    def next_second(self) -> None:
        """Begin another second of the last minute."""
        self._seconds.append(self._second)
        self._second = 0.0

    @property
    def present_s(self) -> float:
        """The longest of the last two seconds, or for how long a batch is being waited for now."""
        waiting = 0.0 if self.working_since is None else time.monotonic() - self.working_since
        return max(self._second, waiting, *list(self._seconds)[-1:], 0.0)

    @property
    def max_ms(self) -> int:
        """The longest of the last minute."""
        return round(1000 * max([self._second, *self._seconds]))

    @property
    def follow_s(self) -> float:
        """Since the journal was read last."""
        return time.monotonic() - self.followed_at if self.followed_at else 0.0


def write(
    found: Figures,
    lags: Lags,
    *,
    shard: str,
    holder: str,
    fence: int,
    started_at: datetime,
    counters: dict[str, Any],
    last_error: str,
) -> None:
    """Write the shard's row within the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            WRITE,
            {
                "shard": shard,
                "holder": holder[:120],
                "fence": fence,
                "started_at": started_at,
                "accounts": found.accounts,
                "positions": found.positions,
                "lag_ms": lags.last_ms,
                "lag_max_ms": lags.max_ms,
                "follow_lag_ms": round(lags.follow_s * 1000),
                "levels": orjson.dumps(found.levels).decode(),
                "called": found.called,
                "below": found.below,
                "without_price": found.without_price,
                "house_floating": found.house_floating,
                "counters": orjson.dumps(counters).decode(),
                "last_error": last_error[:300],
            },
        )
