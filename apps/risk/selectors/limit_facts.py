"""
What limits need besides an account's own book, read once per batch with the executor's cursor. Locks
nothing.

Only what a limit of the batch's accounts asks for is read: totals of what all accounts hold, new orders of
the last minute, marks of equity. Totals are read anew for each batch, so they miss only what others have in
flight.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg import Cursor

from apps.risk.domain.limits import Limit, Mark, MarksTotal
from apps.risk.domain.order_exposure import NOTHING, Lots
from apps.risk.domain.totals import Key, Totals
from rtx.kernel.money import ZERO

Rows = Cursor[Any]

EVENTS_BACK = 5_000  # so many events of an account are looked through for its orders of the last minute
# What is open and what waits, in one statement. Added up before names are looked up, and without a look at
# accounts where no group is asked for.
ALL_HELD = """
    SELECT %(everybody)s::bigint, y.name, h.side, h.volume, h.number, h.waits FROM (
        SELECT p.symbol_id, p.side, sum(p.volume) AS volume, count(*) AS number, false AS waits
        FROM trading_position p
        WHERE %(symbols)s::bigint[] IS NULL OR p.symbol_id = ANY(%(symbols)s) GROUP BY 1, 2
        UNION ALL
        SELECT o.symbol_id, o.side, sum(o.volume), 0, true FROM trading_order o
        WHERE o.status IN ('working', 'partially_filled')
          AND (%(symbols)s::bigint[] IS NULL OR o.symbol_id = ANY(%(symbols)s)) GROUP BY 1, 2
    ) h JOIN market_symbol y ON y.id = h.symbol_id
"""
GROUPS_HELD = """
    SELECT h.group_id, y.name, h.side, h.volume, h.number, h.waits FROM (
        SELECT a.group_id, p.symbol_id, p.side, sum(p.volume) AS volume, count(*) AS number, false AS waits
        FROM trading_position p JOIN accounts_tradingaccount a ON a.id = p.account_id
        WHERE (%(symbols)s::bigint[] IS NULL OR p.symbol_id = ANY(%(symbols)s))
          AND (%(groups)s::bigint[] IS NULL OR a.group_id = ANY(%(groups)s)) GROUP BY 1, 2, 3
        UNION ALL
        SELECT a.group_id, o.symbol_id, o.side, sum(o.volume), 0, true
        FROM trading_order o JOIN accounts_tradingaccount a ON a.id = o.account_id
        WHERE o.status IN ('working', 'partially_filled')
          AND (%(symbols)s::bigint[] IS NULL OR o.symbol_id = ANY(%(symbols)s))
          AND (%(groups)s::bigint[] IS NULL OR a.group_id = ANY(%(groups)s)) GROUP BY 1, 2, 3
    ) h JOIN market_symbol y ON y.id = h.symbol_id
"""
EVERYBODY = 0  # in the place of a group: all of them together
# The average price of what is held, else of what waits.
COSTS = """
    SELECT y.name, coalesce(
        (SELECT sum(p.cost) / sum(p.volume) FROM trading_position p WHERE p.symbol_id = y.id),
        (SELECT sum(o.price * o.volume) / sum(o.volume) FROM trading_order o
         WHERE o.symbol_id = y.id AND o.status IN ('working', 'partially_filled'))
    )
    FROM market_symbol y WHERE y.name = ANY(%s)
"""
# New orders of accounts: neither what a price set off, nor what closed a position, nor what the rate refused.
PLACED = """
    SELECT e.account_id, e.at, e.payload->'order'->>'symbol'
    FROM unnest(%s::bigint[], %s::bigint[]) AS w (account_id, after)
    JOIN accounts_accountevent e ON e.account_id = w.account_id AND e.seq > w.after
    WHERE e.type IN ('order_placed', 'order_filled', 'order_rejected', 'order_canceled') AND e.at > %s
      AND e.payload->'order'->>'trigger' IS NULL
      AND coalesce(e.payload->'order'->'deals'->0->>'entry', 'in') IN ('in', 'inout')
      AND coalesce(e.payload->'order'->>'reject_reason', '') <> 'rate_limit'
      AND (e.type <> 'order_canceled' OR e.payload->'order'->>'time_in_force' IN ('ioc', 'fok'))
    ORDER BY e.account_id, e.seq
"""
PLACED_TOTAL = """
    SELECT count(*) FROM (
        SELECT FROM trading_order o
        JOIN accounts_tradingaccount a ON a.id = o.account_id JOIN market_symbol y ON y.id = o.symbol_id
        WHERE o.created_at > %s AND o.reason IN ('client', 'staff', 'system')
          AND NOT EXISTS (
              SELECT FROM trading_deal d WHERE d.order_id = o.id AND d.entry IN ('out', 'out_by')
          )
          AND (o.reject_reason IS NULL OR o.reject_reason <> 'rate_limit')
          AND (%s::text IS NULL OR y.name = %s) AND (%s::bigint IS NULL OR a.group_id = %s)
        LIMIT %s
    ) found
"""
# What was paid in and out after the event up to which a mark counts it already.
MARKS = """
    SELECT s.account_id, r.day, r.day_start_equity, r.peak_equity, r.equity, (
        SELECT sum(l.amount) FROM accounts_accountevent e JOIN accounts_ledgerline l ON l.event_id = e.id
        WHERE e.account_id = s.account_id AND e.seq > coalesce(r.seq, 0) AND e.type = 'balance_changed'
          AND l.ledger IN ('client', 'credit')
    )
    FROM accounts_accountstate s LEFT JOIN risk_accountrisk r ON r.account_id = s.account_id
    WHERE s.account_id = ANY(%s)
"""
MARKS_TOTALS = """
    SELECT a.group_id, a.currency, sum(r.used_credit),
           sum(CASE WHEN r.day = %(today)s THEN r.day_start_equity ELSE r.equity END),
           sum(r.peak_equity), sum(r.equity)
    FROM risk_accountrisk r JOIN accounts_tradingaccount a ON a.id = r.account_id
    WHERE %(groups)s::bigint[] IS NULL OR a.group_id = ANY(%(groups)s)
    GROUP BY 1, 2
"""


def read_totals(
    cursor: Rows, *, symbols: list[int] | None, groups: list[int] | None, by_group: bool
) -> Totals:
    """
    Return what all accounts hold per group and symbol; None: of all symbols (ids), of all groups. Not
    `by_group`: of all groups together.
    """
    wanted = {"symbols": symbols, "groups": groups, "everybody": EVERYBODY}
    found: dict[Key, Lots] = {}
    cursor.execute(GROUPS_HELD if by_group else ALL_HELD, wanted, prepare=True)
    for group_id, symbol, side, volume, count, waits in cursor.fetchall():
        if waits:
            lots = Lots(waiting_buys=volume) if side == "buy" else Lots(waiting_sells=volume)
        else:
            lots = (
                Lots(buys=volume, positions=count) if side == "buy" else Lots(sells=volume, positions=count)
            )
        found[group_id, symbol] = found.get((group_id, symbol), NOTHING).plus(lots)
    return Totals(found)


def read_costs(cursor: Rows, symbols: list[str]) -> dict[str, Decimal]:
    """Return what symbols did cost on average, of those that anybody holds or waits for."""
    cursor.execute(COSTS, (symbols,))
    return {symbol: cost for symbol, cost in cursor.fetchall() if cost is not None}


def read_placed(cursor: Rows, seqs: Mapping[int, int], *, since: datetime) -> list[tuple[int, datetime, str]]:
    """
    Return new orders as (account, instant, symbol) that were placed after an instant, oldest first.

    `seqs`: account -> its latest event.
    """
    after = [latest - EVENTS_BACK for latest in seqs.values()]
    cursor.execute(PLACED, (list(seqs), after, since), prepare=True)
    return cursor.fetchall()


def read_placed_total(cursor: Rows, limit: Limit, *, since: datetime) -> int:
    """
    Return how many new orders all accounts of a limit's scope placed, counted no further than the limit.
    """
    most = int(limit.value) + 1
    symbol, group_id = limit.symbol, limit.group_id
    cursor.execute(PLACED_TOTAL, (since, symbol, symbol, group_id, group_id, most), prepare=True)
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def read_marks(cursor: Rows, account_ids: Iterable[int], *, now: datetime) -> dict[int, Mark]:
    """
    Return what losses of accounts are measured against, corrected by what was paid in and out since: the
    day's start moves by the amount, the peak is scaled by what it does to the equity, as in the monitor.

    A mark of an earlier day is no day's start: the last known equity is. An account that the monitor has not
    seen yet is measured against what was paid in: whatever it lost counts as lost today.
    """
    cursor.execute(MARKS, (list(account_ids),), prepare=True)
    found = {}
    for account_id, day, day_start, peak, equity, paid in cursor.fetchall():
        moved: Decimal = paid or ZERO
        if day is None:
            found[account_id] = Mark(moved, moved)
        else:
            start = day_start if day == now.date() else equity
            found[account_id] = Mark(start + moved, _peak_after(moved, peak=max(peak, equity), equity=equity))
    return found


def _peak_after(moved: Decimal, *, peak: Decimal, equity: Decimal) -> Decimal:
    if moved and equity > 0 and equity + moved >= 0:
        return peak * (equity + moved) / equity
    return peak + moved


def read_marks_totals(cursor: Rows, *, groups: list[int] | None, now: datetime) -> tuple[MarksTotal, ...]:
    """Return the marks of all accounts per group and currency, as the margin monitor last wrote them."""
    cursor.execute(MARKS_TOTALS, {"groups": groups, "today": now.date()}, prepare=True)
    return tuple(MarksTotal(*row) for row in cursor.fetchall())
