"""
Imports holidays and early closes of exchanges into the sessions that name one. Never touches a row that a
person entered, nor the past.

The calendars come with the `exchange-calendars` package: rules, no network. It is imported when first needed,
because it brings pandas along.
"""

import warnings
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from apps.market.domain.sessions import MIDNIGHT
from apps.market.models import Holiday, TradingSession
from rtx.kernel.errors import Invalid

DAYS_A_YEAR = 365
CLOSED_NAME = "Closed"
EARLY_NAME = "Early close"


class ExchangeUnknown(Invalid):
    """There is no exchange calendar of this name."""

    code = "exchange_unknown"
    title = "Unknown exchange calendar"


@dataclass(frozen=True, slots=True)
class ExchangeDay:
    """A date on which an exchange stays closed, or (`closes_at`, local time of the session) closes early."""

    date: date
    name: str
    closes_at: time | None


@dataclass(slots=True)
class Synced:
    """What became of one session: dates written, and until when its exchange's calendar is known."""

    session: str
    exchange: str
    wanted_until: date
    known_until: date
    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0

    @property
    def runs_out(self) -> bool:
        """Say whether the calendar ends before the wanted day, so that later holidays are missing."""
        return self.known_until < self.wanted_until


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange's calendar between two days, both included."""

    code: str
    since: date
    until: date
    calendar: Any

    @classmethod
    def open(cls, code: str, *, since: date, until: date) -> "Exchange":
        """
        Return the calendar of an exchange from `since`, up to `until` or as far as it is known.

        :raises ExchangeUnknown: there is none of this name.
        """
        import exchange_calendars

        if not is_known(code):
            raise ExchangeUnknown(f"There is no exchange calendar {code!r}.")
        with warnings.catch_warnings():  # the package uses what pandas announces to change: not ours to mend
            warnings.simplefilter("ignore", DeprecationWarning)
            return cls._opened(exchange_calendars, code, since, until)

    @classmethod
    def _opened(cls, exchange_calendars: Any, code: str, since: date, until: date) -> "Exchange":
        last = exchange_calendars.get_calendar(code).bound_max()
        known = until if last is None else min(until, last.date())
        week = timedelta(days=7)  # more than asked for: the package refuses a range without a session
        calendar = exchange_calendars.get_calendar(
            code, start=(since - week).isoformat(), end=(known if last else known + week).isoformat()
        )
        return cls(code=code, since=since, until=known, calendar=calendar)

    def special_days(self, *, timezone: str, weekdays: frozenset[int]) -> list[ExchangeDay]:
        """Return the dates on these weekdays that are closed, or close early by the clock of `timezone`."""
        zone = ZoneInfo(timezone)
        sessions = {stamp.date() for stamp in self.calendar.sessions}
        closes = self._early_closes(zone)
        names = self._names()
        found = []
        for offset in range((self.until - self.since).days + 1):
            day = self.since + timedelta(days=offset)
            if day.weekday() not in weekdays:
                continue
            if day not in sessions:
                found.append(ExchangeDay(day, names.get(day, CLOSED_NAME), None))
            elif day in closes:
                found.append(ExchangeDay(day, names.get(day, EARLY_NAME), closes[day]))
        return found

    def _early_closes(self, zone: ZoneInfo) -> dict[date, time]:
        found = {}
        for stamp in self.calendar.early_closes:
            local = self.calendar.session_close(stamp).to_pydatetime().astimezone(zone)
            if local.date() == stamp.date():
                found[stamp.date()] = local.time().replace(second=0, microsecond=0)
        return found

    def _names(self) -> dict[date, str]:
        calendars = [kept for _, kept in self.calendar.special_closes]
        if self.calendar.regular_holidays is not None:
            calendars.append(self.calendar.regular_holidays)
        names: dict[date, str] = {}
        for one in calendars:
            named = one.holidays(self.since.isoformat(), self.until.isoformat(), return_name=True)
            names.update({stamp.date(): str(name)[:80] for stamp, name in named.items()})
        return names


def is_known(code: str) -> bool:
    """Say whether there is an exchange calendar of this name."""
    import exchange_calendars

    return code in exchange_calendars.get_calendar_names(include_aliases=True)


def sync(session: TradingSession, *, today: date, years: int = 2, dry_run: bool = False) -> Synced:
    """
    Make the imported holidays of a session, from `today` on, those of its exchange. Safe to repeat.

    :raises ExchangeUnknown: the session names a calendar that does not exist.
    """
    wanted_until = today + timedelta(days=years * DAYS_A_YEAR)
    exchange = Exchange.open(session.exchange, since=today, until=wanted_until)
    days = exchange.special_days(timezone=session.timezone, weekdays=_weekdays(session))
    result = Synced(session.name, session.exchange, wanted_until, exchange.until)
    with transaction.atomic():
        TradingSession.objects.select_for_update().get(pk=session.pk)  # one at a time
        _store(session, days, today=today, result=result, dry_run=dry_run)
    return result


def sync_all(*, today: date, years: int = 2, dry_run: bool = False) -> list[Synced]:
    """
    Sync every session that names an exchange.

    :raises ExchangeUnknown: sessions name calendars that do not exist; all others are done.
    """
    done, problems = [], []
    for session in TradingSession.objects.exclude(exchange="").order_by("name"):
        try:
            done.append(sync(session, today=today, years=years, dry_run=dry_run))
        except ExchangeUnknown as unknown:
            problems.append(f"{session.name}: {unknown.detail}")
    if problems:
        raise ExchangeUnknown(" ".join(problems))
    return done


def _weekdays(session: TradingSession) -> frozenset[int]:
    """Return the weekdays of a session's trading dates: an evening that runs on belongs to the next one."""
    return frozenset(
        row.weekday for row in session.hours.all() if row.opens_at == MIDNIGHT or row.closes_at != MIDNIGHT
    )


def _store(
    session: TradingSession, days: list[ExchangeDay], *, today: date, result: Synced, dry_run: bool
) -> None:
    """Write only what differs, in one statement of each kind: every statement moves the terms version."""
    known = {row.date: row for row in session.holidays.filter(date__gte=today)}
    new, changed = [], []
    for day in days:
        row = known.pop(day.date, None)
        if row is None:
            new.append(
                Holiday(
                    session=session, date=day.date, name=day.name, closes_at=day.closes_at, is_imported=True
                )
            )
        elif not row.is_imported:
            result.kept += 1
        elif (row.name, row.closes_at) != (day.name, day.closes_at):
            row.name, row.closes_at = day.name, day.closes_at
            changed.append(row)
    gone = [row.pk for row in known.values() if row.is_imported and row.date <= result.known_until]
    result.kept += sum(not row.is_imported for row in known.values())
    result.added, result.changed, result.removed = len(new), len(changed), len(gone)
    if dry_run:
        return
    if new:
        Holiday.objects.bulk_create(new)
    if changed:
        Holiday.objects.bulk_update(changed, ["name", "closes_at"])
    if gone:
        Holiday.objects.filter(pk__in=gone).delete()
