"""
What stands before orders, in one immutable picture per version: kill switches, limits, hours, breakers.

Read with the caller's cursor, inside its transaction; locks nothing. The version is read first, so that what
changes meanwhile is seen again at the next one.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import structlog
from psycopg import Cursor

from apps.market.domain.sessions import Calendar, Hours
from apps.risk.domain.hours import Target, TradingTimes
from apps.risk.domain.limit_plans import Plan, lowest
from apps.risk.domain.limits import Limit, LimitKind
from apps.risk.domain.switches import Probe, Stops
from rtx.kernel.errors import Unavailable

Rows = Cursor[Any]

VERSION = "SELECT version FROM risk_controlsversion WHERE id = 1"
SWITCHES = """
    SELECT k.scope, k.group_id, y.name, k.account_id
    FROM risk_killswitch k LEFT JOIN market_symbol y ON y.id = k.symbol_id WHERE k.released_at IS NULL
"""
LIMITS = """
    SELECT l.id, l.scope, l.group_id, l.account_id, y.name, l.kind, l.value, l.currency, l.exposed_currency,
           l.is_per_account
    FROM risk_risklimit l LEFT JOIN market_symbol y ON y.id = l.symbol_id WHERE l.is_active ORDER BY l.id
"""
HOURS = """
    SELECT h.scope, h.group_id, y.name, h.account_id, h.weekday, h.opens_at, h.closes_at, h.timezone
    FROM risk_tradinghours h LEFT JOIN market_symbol y ON y.id = h.symbol_id
"""
BREAKERS = """
    SELECT s.id, s.state, s.since, b.scope, b.probe_orders, s.subject, y.name, s.account_id
    FROM risk_breakerstate s JOIN risk_breaker b ON b.id = s.breaker_id
    LEFT JOIN market_symbol y ON y.id = s.symbol_id
    WHERE s.state <> 'closed' AND b.is_active
"""
PROVIDERS = """
    SELECT f.provider, y.name FROM market_feedstatus f JOIN market_symbol y ON y.id = f.symbol_id
"""
# Orders that passed a half-open breaker: those placed since which were not refused, and older ones that were
# filled since; closing ones add nothing.
PROBED = """
    SELECT count(*) FROM (
        SELECT o.id FROM trading_order o JOIN market_symbol y ON y.id = o.symbol_id
        WHERE o.created_at >= %(since)s AND o.status <> 'rejected'
          AND (%(symbols)s::text[] IS NULL OR y.name = ANY(%(symbols)s))
          AND (%(account)s::bigint IS NULL OR o.account_id = %(account)s)
          AND NOT EXISTS (SELECT FROM trading_deal d WHERE d.order_id = o.id AND d.entry IN ('out', 'out_by'))
        UNION
        SELECT d.order_id FROM trading_deal d JOIN market_symbol y ON y.id = d.symbol_id
        WHERE d.created_at >= %(since)s AND d.entry IN ('in', 'inout')
          AND (%(symbols)s::text[] IS NULL OR y.name = ANY(%(symbols)s))
          AND (%(account)s::bigint IS NULL OR d.account_id = %(account)s)
    ) passed
"""

NEVER_READ = -1  # no version of the table

log = structlog.get_logger(__name__)


class ControlsMissing(Unavailable):
    """The row that counts changes of controls is gone: nobody can say what stands before an order."""

    code = "controls_missing"
    title = "Controls cannot be read"


class HalfOpen(NamedTuple):
    """A half-open breaker with the instant since which its probes count."""

    probe: Probe
    since: datetime


@dataclass(slots=True)
class Controls:
    """
    Everything as of one version. `plans` keeps which limits hold for whom, found once. `follows_providers`:
    a breaker of a provider is not closed, and which symbols are its own no version tells.
    """

    version: int = NEVER_READ
    switches: Stops = field(default_factory=Stops)
    broken: Stops = field(default_factory=Stops)
    half_open: tuple[HalfOpen, ...] = ()
    times: TradingTimes = field(default_factory=TradingTimes)
    limits: tuple[Limit, ...] = ()
    follows_providers: bool = False
    plans: dict[tuple[int, int, str], Plan] = field(default_factory=dict)
    _same: dict[tuple[Limit, ...], Plan] = field(default_factory=dict)

    def plan(self, *, account_id: int, group_id: int, symbol: str) -> Plan:
        """Return the limits that can refuse an order of this account on this symbol, cheapest kind first."""
        key = (account_id, group_id, symbol)
        found = self.plans.get(key)
        if found is None:
            if len(self.plans) >= PLANS_MAX:
                self.plans.clear()
            limits = lowest(
                limit
                for limit in self.limits
                if limit.concerns(account_id=account_id, group_id=group_id, symbol=symbol)
            )
            found = self.plans[key] = self._same.setdefault(limits, Plan(limits))
        return found


PLANS_MAX = 50_000
CHEAPEST_FIRST = {kind: place for place, kind in enumerate(LimitKind)}


def controls_version(cursor: Rows) -> int:
    """
    Return the number of the present state of all controls.

    :raises ControlsMissing: there is none.
    """
    cursor.execute(VERSION, prepare=True)
    row = cursor.fetchone()
    if row is None:
        log.critical("controls_version_missing")
        raise ControlsMissing("What stands before orders cannot be read.")
    version: int = row[0]
    return version


def read_controls(cursor: Rows, version: int) -> Controls:
    """Read all controls; `version` was read before."""
    cursor.execute(SWITCHES)
    switches = _stops(cursor.fetchall())
    cursor.execute(LIMITS)
    limits = sorted((_limit(row) for row in cursor.fetchall()), key=lambda one: CHEAPEST_FIRST[one.kind])
    cursor.execute(HOURS)
    times = _times(cursor.fetchall())
    broken, half_open, follows_providers = _breakers(cursor)
    return Controls(version, switches, broken, half_open, times, tuple(limits), follows_providers)


def probed(cursor: Rows, half_open: HalfOpen) -> int:
    """Return how many orders have passed a half-open breaker."""
    symbols = None if half_open.probe.symbols is None else list(half_open.probe.symbols)
    wanted = {"since": half_open.since, "symbols": symbols, "account": half_open.probe.account_id}
    cursor.execute(PROBED, wanted)
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def _stops(rows: list[Any]) -> Stops:
    """Gather what is stopped from rows of scope, group, symbol, account."""
    return Stops(
        platform=any(row[0] == "platform" for row in rows),
        groups=frozenset(row[1] for row in rows if row[0] == "group"),
        symbols=frozenset(row[2] for row in rows if row[0] == "symbol"),
        accounts=frozenset(row[3] for row in rows if row[0] == "account"),
    )


def _limit(row: Any) -> Limit:
    id_, scope, group_id, account_id, symbol, kind, value, currency, exposed, is_per_account = row
    return Limit(
        id=id_,
        scope=scope,
        group_id=group_id,
        account_id=account_id,
        symbol=symbol,
        kind=LimitKind(kind),
        value=value,
        currency=currency,
        exposed_currency=exposed,
        is_per_account=is_per_account,
    )


def _times(rows: list[Any]) -> TradingTimes:
    """
    Build the calendars of every target. A row that makes no sense opens nothing: its target stays closed
    then, the safe way, and the log says so.
    """
    hours: dict[Target, dict[str, list[Hours]]] = defaultdict(lambda: defaultdict(list))
    for scope, group_id, symbol, account_id, weekday, opens_at, closes_at, zone in rows:
        target = {"group": group_id, "symbol": symbol, "account": account_id}.get(scope)
        zones = hours[scope, target]
        try:
            ZoneInfo(zone)
            zones[zone].append(Hours(weekday, opens_at, closes_at))
        except (ValueError, OSError, KeyError) as error:  # KeyError: no such time zone
            log.error("trading_hours_invalid", scope=scope, target=target, error=str(error))
    return TradingTimes(
        {
            target: tuple(Calendar(timezone=zone, hours=tuple(rows)) for zone, rows in zones.items())
            for target, zones in hours.items()
        }
    )


def _breakers(cursor: Rows) -> tuple[Stops, tuple[HalfOpen, ...], bool]:
    """Return what open breakers stop, those that let probes through, and whether one is of a provider."""
    cursor.execute(BREAKERS)
    rows = cursor.fetchall()
    symbols_of: dict[str, set[str]] = defaultdict(set)
    of_providers = any(row[3] == "lp" for row in rows)
    if of_providers:
        cursor.execute(PROVIDERS)
        for provider, symbol in cursor.fetchall():
            symbols_of[provider].add(symbol)
    stopped: list[tuple[str, None, str | None, int | None]] = []
    half_open = []
    for id_, state, since, scope, probe_orders, subject, symbol, account_id in rows:
        named = {"symbol": {symbol}, "lp": symbols_of[subject]}.get(scope)
        if state == "open":
            if named is None:
                stopped.append((scope, None, None, account_id))
            else:
                stopped += [("symbol", None, name, None) for name in named]
            continue
        probe = Probe(
            id_,
            probe_orders,
            None if named is None else frozenset(named),
            account_id if scope == "account" else None,
        )
        half_open.append(HalfOpen(probe, since))
    return _stops(stopped), tuple(half_open), of_providers
