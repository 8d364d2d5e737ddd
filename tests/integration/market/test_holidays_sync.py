"""Importing holidays: rows entered by hand stay, what is right is not written, what ends is said."""

from datetime import date, time
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.market.models import Holiday, SessionHours, TermsVersion, TradingSession
from apps.market.selectors.symbols import session_calendars
from apps.market.services import holidays
from apps.market.services.holidays import ExchangeUnknown
from apps.market.tasks import sync_holidays

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 21)


@pytest.fixture
def stocks() -> TradingSession:
    session = TradingSession.objects.create(name="Stocks", timezone="America/New_York", exchange="XNYS")
    SessionHours.objects.bulk_create(
        SessionHours(session=session, weekday=day, opens_at=time(9, 30), closes_at=time(16))
        for day in range(5)
    )
    return session


def version() -> int:
    return TermsVersion.objects.get(pk=1).version


def test_sync_imports_closures_and_half_days(stocks):
    done = holidays.sync(stocks, today=TODAY, years=1)

    rows = {row.date: row for row in stocks.holidays.all()}
    assert done.added == len(rows) == 12
    assert rows[date(2026, 11, 26)].closes_at is None
    assert rows[date(2026, 11, 27)].closes_at == time(13)
    assert all(row.is_imported for row in rows.values())
    assert min(rows) > TODAY


def test_second_sync_writes_nothing(stocks):
    holidays.sync(stocks, today=TODAY)
    before = version()

    done = holidays.sync(stocks, today=TODAY)

    assert (done.added, done.changed, done.removed) == (0, 0, 0)
    assert version() == before


def test_rows_entered_by_hand_stay_as_they_are(stocks):
    own = Holiday.objects.create(session=stocks, date=date(2026, 11, 26), name="Ours", closes_at=time(11))
    extra = Holiday.objects.create(session=stocks, date=date(2026, 12, 2), name="Office moves")

    done = holidays.sync(stocks, today=TODAY)

    own.refresh_from_db()
    extra.refresh_from_db()
    assert (own.name, own.closes_at, own.is_imported) == ("Ours", time(11), False)
    assert done.kept == 2


def test_imported_rows_follow_the_exchange_and_the_past_stays(stocks):
    past = Holiday.objects.create(session=stocks, date=date(2026, 9, 8), is_imported=True)
    Holiday.objects.create(session=stocks, date=date(2026, 12, 1), is_imported=True)  # no holiday any more
    Holiday.objects.create(session=stocks, date=date(2026, 11, 27), is_imported=True)  # closes at 13:00

    done = holidays.sync(stocks, today=TODAY)

    assert (done.changed, done.removed) == (1, 1)
    assert Holiday.objects.filter(pk=past.pk).exists()
    assert not stocks.holidays.filter(date=date(2026, 12, 1)).exists()
    assert stocks.holidays.get(date=date(2026, 11, 27)).closes_at == time(13)


def test_dry_run_writes_nothing(stocks):
    done = holidays.sync(stocks, today=TODAY, dry_run=True)

    assert done.added > 0
    assert not stocks.holidays.exists()


def test_command_syncs_all_and_names_an_unknown_exchange(stocks):
    TradingSession.objects.create(name="Nowhere", exchange="NOWHERE")
    TradingSession.objects.create(name="By hand")
    out = StringIO()

    with pytest.raises(CommandError, match="Nowhere: There is no exchange calendar 'NOWHERE'"):
        call_command("sync_holidays", stdout=out)

    assert "Stocks (XNYS): " in out.getvalue()
    assert "By hand" not in out.getvalue()
    assert stocks.holidays.exists()


def test_command_says_when_the_calendar_runs_out(stocks):
    TradingSession.objects.filter(pk=stocks.pk).update(exchange="XHKG")
    out = StringIO()

    call_command("sync_holidays", "--years", "40", "--dry-run", stdout=out)

    assert (
        "the calendar of XHKG ends on 2049-12-31; later holidays have to be entered by hand" in out.getvalue()
    )


def test_symbols_close_on_what_was_imported(stocks, settings):
    settings.SESSIONS_ALWAYS_OPEN = False
    holidays.sync(stocks, today=TODAY)

    closed = session_calendars()[stocks.pk].holidays

    assert date(2026, 12, 25) in {day.date for day in closed}


def test_task_syncs_the_others_when_one_exchange_is_unknown(stocks):
    TradingSession.objects.create(name="A typo", exchange="NOWHERE")

    with pytest.raises(ExchangeUnknown, match="A typo: There is no exchange calendar 'NOWHERE'"):
        sync_holidays()

    assert stocks.holidays.exists()
