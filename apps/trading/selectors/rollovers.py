"""Reads of the rollover: which trading days of which groups have ended, and who may have held something."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

from django.db import connection
from django.db.models import Count, Max

from apps.accounts.models import AccountEvent
from apps.groups.domain.terms import Rollover
from apps.groups.models import TradingGroup
from apps.market.selectors import history
from apps.trading.domain.commands import rollover_command_id
from apps.trading.domain.rollover import DAY, TradingDay, days_within, next_day
from apps.trading.models import RolloverDay

LONGEST = timedelta(days=3)  # within it, every group's day ends at least once

HOLDERS = """
    WITH moved AS (
        SELECT DISTINCT ON (account_id) account_id, (payload #>> '{house,from_group_id}')::bigint AS group_id
        FROM accounts_accountevent WHERE at > %(at)s AND type = 'account_moved' ORDER BY account_id, seq
    )
    SELECT id FROM accounts_tradingaccount a LEFT JOIN moved ON moved.account_id = a.id
    WHERE coalesce(moved.group_id, a.group_id) = %(group)s AND opened_at <= %(at)s AND (
        id IN (SELECT account_id FROM trading_position)
        OR id IN (SELECT account_id FROM accounts_accountevent WHERE at > %(at)s)
    )
    ORDER BY id
"""


def last_rolled() -> dict[int, datetime]:
    """Return per group the last rollover that was noted."""
    rows = RolloverDay.objects.order_by().values("group_id").annotate(last=Max("rolled_at"))
    return {row["group_id"]: row["last"] for row in rows}


def days_ended(
    groups: Iterable[TradingGroup], *, since: dict[int, datetime], until: datetime
) -> dict[int, list[TradingDay]]:
    """
    Return per group the trading days that ended within (since, until], oldest first.

    Each rollover time counts while it was set; a date that ended by an older one does not end again, and one
    that a change would leave out ends with the change.
    """
    groups = list(groups)
    if not groups:
        return {}
    changes = history.change_instants(TradingGroup, after=min(since.values()), until=until)
    found: dict[int, list[TradingDay]] = {}
    for group in groups:
        begin = since[group.pk]
        edges = [at for at in changes.get(group.pk, ()) if at > begin]
        ended: dict[date, TradingDay] = {}
        before: Rollover | None = None
        for rollover, start, end in _pieces(group, begin, edges, until):
            for skipped in _skipped(before, rollover, at=start):
                ended.setdefault(skipped.date, skipped)
            before = rollover
            for day in days_within(rollover, after=start, until=end):
                ended.setdefault(day.date, day)
        found[group.pk] = list(ended.values())
    return found


def _pieces(
    group: TradingGroup, begin: datetime, edges: Sequence[datetime], until: datetime
) -> Iterator[tuple[Rollover, datetime, datetime]]:
    """Yield the group's rollover times and how long each was set, from `begin` to `until`."""
    if not edges:
        yield _rollover(group), begin, until
        return
    for start, end in zip([begin, *edges], [*edges, until], strict=True):
        rows = history.rows_as_of(TradingGroup, at=start)
        then = next((row for row in rows if row.pk == group.pk), group)
        yield _rollover(then), start, end


def _skipped(before: Rollover | None, after: Rollover, *, at: datetime) -> Iterator[TradingDay]:
    """Yield the dates that would have ended later by the old time and never end by the new one."""
    if before is None or before == after:
        return
    ends, first = next_day(before, after=at).date, next_day(after, after=at).date
    while ends < first:
        yield TradingDay(date=ends, rolled_at=at)
        ends += DAY


def _rollover(group: TradingGroup) -> Rollover:
    return Rollover(time=group.rollover_time, timezone=group.rollover_timezone)


def last_day(group: TradingGroup, *, until: datetime) -> TradingDay:
    """Return the last trading day of a group that ended by an instant."""
    *_, last = days_within(_rollover(group), after=until - LONGEST, until=until)
    return last


def holders(*, group_id: int, at: datetime) -> list[int]:
    """Return the accounts of a group that may have held something at an instant, by id."""
    with connection.cursor() as cursor:
        cursor.execute(HOLDERS, {"group": group_id, "at": at})
        return [row[0] for row in cursor.fetchall()]


def already_charged(account_ids: Sequence[int], *, day: date) -> set[int]:
    """Return those of these accounts whose rollover of a day stands in the journal."""
    wanted = {rollover_command_id(account_id=account_id, day=day): account_id for account_id in account_ids}
    known = AccountEvent.objects.filter(command_id__in=list(wanted)).values_list("command_id", flat=True)
    return {wanted[command_id] for command_id in known}


def pending_by_group() -> dict[str, int]:
    """Return how many accounts of each group wait for a price to be charged at."""
    rows = RolloverDay.objects.filter(finished_at__isnull=True, pending__gt=0).order_by()
    found: dict[str, int] = {}
    for name, pending in rows.values_list("group__name", "pending"):
        found[name] = found.get(name, 0) + pending
    return found


def open_days_by_group() -> dict[str, int]:
    """Return how many noted trading days of each group are not finished."""
    rows = RolloverDay.objects.filter(finished_at__isnull=True).order_by().values("group__name")
    return {row["group__name"]: row["days"] for row in rows.annotate(days=Count("pk"))}
