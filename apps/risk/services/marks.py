"""
Stores the marks of accounts: how they stand, their peaks and their day, in bounded batches.

What changed or is near its margin call goes first, everything else in turn. When a UTC day ends, its marks
are stored first and become rows of their own in one statement; only then the new day's are. So a crash at
any moment loses nothing: what stands under an old day is closed at the next start.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from apps.risk.selectors.portfolio import MarksRow
from apps.risk.services.portfolio import Portfolio
from rtx.kernel import bulk, clock
from rtx.kernel.money import digits

Row = tuple[Any, ...]

BATCH = 1000
NEAR_PCT = 150.0
LEVEL_MAX = 1e9
DAY_BATCH = 5000

COLUMNS = {
    "account_id": "bigint",
    "seq": "bigint",
    "equity": "numeric",
    "margin": "numeric",
    "level_pct": "numeric",
    "peak_equity": "numeric",
    "peak_at": "timestamptz",
    "day": "date",
    "day_start_equity": "numeric",
    "day_low_equity": "numeric",
    "day_high_equity": "numeric",
    "used_credit": "numeric",
    "used_credit_max": "numeric",
}
STORE = f"""
    INSERT INTO risk_accountrisk ({", ".join(COLUMNS)}, updated_at)
    SELECT {", ".join(f"r.{name}" for name in COLUMNS)}, clock_timestamp()
    FROM json_to_recordset(%s) AS r({", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())})
    ORDER BY r.account_id
    ON CONFLICT (account_id) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "account_id")},
        updated_at = excluded.updated_at
"""  # noqa: S608 - built from fixed names
OLD_DAYS = """
    SELECT DISTINCT day FROM risk_accountrisk WHERE account_id %% %(of)s = %(shard)s AND day < %(today)s
    ORDER BY day
"""
CLOSE = """
    WITH traded AS (
        SELECT o.account_id, count(*) AS orders,
               count(*) FILTER (WHERE o.status = 'rejected') AS rejected,
               coalesce(sum(o.filled_volume), 0) AS volume,
               avg(o.filled_volume) FILTER (WHERE o.filled_volume > 0) AS average
        FROM trading_order o
        WHERE o.created_at >= %(begins)s AND o.created_at < %(ends)s AND o.reason IN ('client', 'staff')
          AND o.account_id %% %(of)s = %(shard)s
        GROUP BY 1
    ), calls AS (
        SELECT account_id, count(*) AS count FROM risk_margincall
        WHERE called_at >= %(begins)s AND called_at < %(ends)s GROUP BY 1
    ), closed AS (
        SELECT account_id, count(*) AS count FROM risk_liquidation
        WHERE at >= %(begins)s AND at < %(ends)s GROUP BY 1
    )
    INSERT INTO risk_accountriskday
        (account_id, date, equity_start, equity_low, equity_high, equity_end, peak_equity, orders,
         orders_rejected, volume, order_size_average, used_credit_max, margin_calls, liquidations)
    SELECT r.account_id, r.day, r.day_start_equity, r.day_low_equity, r.day_high_equity, r.equity,
           r.peak_equity, coalesce(t.orders, 0), coalesce(t.rejected, 0), coalesce(t.volume, 0),
           round(t.average, 4), r.used_credit_max, coalesce(c.count, 0), coalesce(l.count, 0)
    FROM risk_accountrisk r
    LEFT JOIN traded t ON t.account_id = r.account_id
    LEFT JOIN calls c ON c.account_id = r.account_id
    LEFT JOIN closed l ON l.account_id = r.account_id
    WHERE r.day = %(day)s AND r.account_id %% %(of)s = %(shard)s
    ON CONFLICT (account_id, date) DO NOTHING
"""


class Picked(NamedTuple):
    """Accounts (places) whose marks are to be stored: copied as arrays, which is quick under a lock."""

    places: NDArray[np.int64]
    columns: tuple[NDArray[Any], ...]
    day: date

    def rows(self) -> list[Row]:
        """Return the rows to store."""
        columns = (column.tolist() for column in self.columns)
        return [_row(values, self.day) for values in zip(*columns, strict=True)]

    def batches(self) -> list["Picked"]:
        """Return the same in parts of `DAY_BATCH`."""
        return [
            Picked(
                self.places[start : start + DAY_BATCH],
                tuple(column[start : start + DAY_BATCH] for column in self.columns),
                self.day,
            )
            for start in range(0, len(self.places), DAY_BATCH)
        ]


class Turn:
    """Remembers where the round of those that are not urgent stands."""

    def __init__(self) -> None:
        self.next = 0


def restore(portfolio: Portfolio, rows: Iterable[MarksRow], *, today: date) -> None:
    """Give a portfolio its stored marks; a day that is over gave way to the present one."""
    marks, index = portfolio.marks, portfolio.accounts.index
    for row in rows:
        place = index.get(row.account_id)
        if place is None:
            continue
        marks.peak[place], marks.peak_ms[place] = row.peak, row.peak_ms
        marks.used_credit[place] = row.used_credit
        if row.day == today:
            marks.day_start[place] = row.day_start
            marks.day_low[place], marks.day_high[place] = row.day_low, row.day_high
            marks.used_max[place] = row.used_max
        if row.flow:
            marks.flow(place, row.flow, equity=row.equity)
    marks.is_new[: portfolio.accounts.count] = True


def pick(portfolio: Portfolio, turn: Turn, *, day: date, limit: int = BATCH) -> Picked:
    """
    Choose whose marks to store next: those near their margin call by level (at most half of the room), then
    what changed by more than a price, then the others in turn.

    What is chosen counts as stored; `give_back` undoes that.
    """
    accounts, marks, size = portfolio.accounts, portfolio.marks, portfolio.accounts.count
    equity = accounts.equity(accounts.all)
    levels = accounts.levels(accounts.all, equity)
    valued = (accounts.missing[:size] == 0) & np.isfinite(marks.day_start[:size])
    moved = ~(np.abs(equity - marks.stored[:size]) < 0.5 * accounts.unit[:size])
    near = (valued & moved & (levels < NEAR_PCT)).nonzero()[0]
    near = near[np.argsort(levels[near], kind="stable")][: limit // 2]
    valued[near] = False
    changed = (valued & marks.is_new[:size]).nonzero()[0][: limit - len(near)]
    valued[changed] = False
    others = (valued & moved).nonzero()[0]
    others = np.roll(others, -int(np.searchsorted(others, turn.next)))
    others = others[: limit - len(near) - len(changed)]
    if len(others):
        turn.next = int(others[-1]) + 1
    places = np.concatenate([near, changed, others])
    picked = _picked(portfolio, places, equity[places], day)
    marks.stored[places], marks.is_new[places] = equity[places], False
    return picked


def give_back(portfolio: Portfolio, picked: Picked) -> None:
    """Choose again what could not be stored."""
    portfolio.marks.is_new[picked.places] = True


def ended_day(portfolio: Portfolio, day: date) -> list[Picked]:
    """Begin the next day in memory; return the marks of the one that ended, in batches."""
    accounts, size = portfolio.accounts, portfolio.accounts.count
    equity = accounts.equity(accounts.all)
    valued = (accounts.missing[:size] == 0) & np.isfinite(portfolio.marks.day_start[:size])
    places = valued.nonzero()[0]
    picked = _picked(portfolio, places, equity[places], day)
    portfolio.marks.begin_day(equity, valued)
    return picked.batches()


def _picked(
    portfolio: Portfolio, places: NDArray[np.int64], equity: NDArray[np.float64], day: date
) -> Picked:
    accounts, marks = portfolio.accounts, portfolio.marks
    decimals = np.array([digits(currency) for currency in accounts.currencies] or [2], np.int64)
    columns = (
        accounts.ids[places],
        accounts.seq[places],
        decimals[accounts.currency[places]],
        equity,
        accounts.margin[places],
        np.minimum(accounts.levels(places, equity), LEVEL_MAX),
        accounts.margin[places] > 0.0,
        marks.peak[places],
        marks.peak_ms[places],
        marks.day_start[places],
        marks.day_low[places],
        marks.day_high[places],
        marks.used_credit[places],
        marks.used_max[places],
    )
    return Picked(places, columns, day)


def _row(values: Row, day: date) -> Row:
    id_, seq, places, equity, margin, level, has_margin, peak, peak_ms, start, low, high, used, most = values
    return (
        id_,
        seq,
        f"{equity:.{places}f}",
        f"{margin:.{places}f}",
        f"{level:.2f}" if has_margin else None,
        f"{peak:.{places}f}",
        clock.rfc3339(clock.from_ms(peak_ms)),
        day.isoformat(),
        *(f"{amount:.{places}f}" for amount in (start, low, high, used, most)),
    )


def store(rows: list[Row]) -> None:
    """Write marks within the caller's transaction."""
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(STORE, [bulk.rows_as_json(list(COLUMNS), rows)])


def close_days(*, shard: int, of: int, today: date) -> int:
    """Make the rows of all days that are over from the stored marks; return how many. Safe to repeat."""
    closed = 0
    with connection.cursor() as cursor:
        cursor.execute(OLD_DAYS, {"shard": shard, "of": of, "today": today})
        for (day,) in cursor.fetchall():
            closed += _close(cursor, day, shard, of)
    return closed


def _close(cursor: Any, day: date, shard: int, of: int) -> int:
    begins = datetime.combine(day, time(), UTC)
    given = {"day": day, "begins": begins, "ends": begins + timedelta(days=1), "shard": shard, "of": of}
    cursor.execute(CLOSE, given)
    return int(cursor.rowcount)
