"""Terms are edited in forms that explain what does not fit: swaps, schedules, tiers, exchanges, holidays."""

from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from apps.groups.models import GroupSymbol, MarginBand, MarginSchedule, TradingGroup
from apps.groups.selectors import terms_book
from apps.market.models import Holiday, Symbol, TradingSession
from tests.factories.house import House
from tests.integration.admin.test_operations import (
    WEEK,
    errors,
    group_fields,
    session_fields,
    symbol_fields,
)

pytestmark = pytest.mark.django_db
D = Decimal


def days(*values: int) -> dict[str, int]:
    return {f"swap_multipliers_{day}": value for day, value in zip(WEEK, values, strict=True)}


def test_a_symbols_swap_is_saved(house: House, admin_client: Any) -> None:
    fields = symbol_fields(
        swap_mode="points",
        swap_long="-7.5",
        swap_short="2.1",
        stop_level_points="10",
        **days(1, 1, 1, 1, 3, 0, 0),
    )

    answer = admin_client.post(reverse("admin:market_symbol_add"), fields)

    assert answer.status_code == 302
    saved = Symbol.objects.get(name="GBPUSD")
    assert (saved.swap_mode, saved.swap_long, saved.swap_short) == ("points", D("-7.5"), D("2.1"))
    assert (saved.swap_multipliers, saved.stop_level_points) == ([1, 1, 1, 1, 3, 0, 0], 10)


def test_a_symbols_page_shows_its_seven_days(house: House, admin_client: Any) -> None:
    page = admin_client.get(reverse("admin:market_symbol_change", args=[house.eurusd.pk])).content.decode()

    assert page.count('aria-label="Days charged on ') == 7
    assert 'name="swap_multipliers_wednesday" value="3"' in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"swap_long": "-3"}, "Choose what the swap means"),
        ({"swap_multipliers_monday": "11"}, "less than or equal to 10"),
        ({"swap_multipliers_monday": "-1"}, "greater than or equal to 0"),
        ({"swap_multipliers_monday": ""}, "This field is required"),
        ({"swap_mode": "interest"}, "valid choice"),
        ({"margin_rate_pending": "-1"}, "greater than or equal to 0"),
    ],
)
def test_a_swap_that_does_not_fit_is_explained(
    changes: dict[str, str], message: str, house: House, admin_client: Any
) -> None:
    answer = admin_client.post(reverse("admin:market_symbol_add"), symbol_fields(**changes))

    assert message in errors(answer)


# -- groups
# ---------------------------------------------------------------------------------------------------------


def test_a_groups_page_warns_of_the_debts_that_its_protection_pays(house: House, admin_client: Any) -> None:
    page = admin_client.get(reverse("admin:groups_tradinggroup_change", args=[house.usd.pk])).content.decode()

    assert "whatever made the debt, corrections by staff included" in page
    assert "Switching this on pays the debts that its accounts have already." in page


def save_group(house: House, admin_client: Any, **changes: Any) -> Any:
    url = reverse("admin:groups_tradinggroup_change", args=[house.usd.pk])
    return admin_client.post(url, group_fields(house.usd, **changes))


def test_rollover_and_fees_of_a_group_are_saved(house: House, admin_client: Any) -> None:
    answer = save_group(
        house,
        admin_client,
        rollover_time="00:00",
        rollover_timezone="Europe/Athens",
        swap_free="on",
        admin_fee_per_lot="4.5",
        admin_fee_after_nights="3",
    )

    assert answer.status_code == 302
    group = terms_book().groups[house.usd.pk]
    assert (group.rollover.time, group.rollover.timezone) == (time(0), "Europe/Athens")
    assert (group.swap_free, group.admin_fee.per_lot, group.admin_fee.after_nights) == (True, D("4.5"), 3)


def test_commission_tiers_are_saved_with_the_group(house: House, admin_client: Any) -> None:
    tiers = {
        "commission_mode": "per_lot",
        "commission_value": "5",
        "commission_tiers-TOTAL_FORMS": 2,
        "commission_tiers-0-group": house.usd.pk,
        "commission_tiers-0-from_size": "10",
        "commission_tiers-0-value": "4",
        "commission_tiers-1-group": house.usd.pk,
        "commission_tiers-1-symbol": house.eurusd.pk,
        "commission_tiers-1-from_size": "5",
        "commission_tiers-1-value": "3",
    }

    answer = save_group(house, admin_client, **tiers)

    assert answer.status_code == 302
    terms = terms_book().terms[house.usd.pk]
    assert terms["USDJPY"].commission.tiers == ((D(10), D(4)),)
    assert terms["EURUSD"].commission.tiers == ((D(5), D(3)),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"admin_fee_per_lot": "4"}, "Only a swap-free group"),
        ({"rollover_timezone": "Mars/Olympus"}, "valid choice"),
        ({"rollover_time": "25:00"}, "Enter a valid time"),
        (
            {
                "commission_tiers-TOTAL_FORMS": 2,
                "commission_tiers-0-from_size": "5",
                "commission_tiers-0-value": "3",
                "commission_tiers-1-from_size": "5",
                "commission_tiers-1-value": "2",
            },
            "begin at the same size",
        ),
    ],
)
def test_a_group_that_does_not_fit_is_explained(
    changes: dict[str, Any], message: str, house: House, admin_client: Any
) -> None:
    assert message in errors(save_group(house, admin_client, **changes))


# -- schedules
# ---------------------------------------------------------------------------------------------------------


def schedule_fields(kind: str, *bands: tuple[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "big",
        "kind": kind,
        "change_reason": "agreed with risk",
        "bands-TOTAL_FORMS": len(bands),
        "bands-INITIAL_FORMS": 0,
    }
    for number, (up_to, value) in enumerate(bands):
        fields |= {f"bands-{number}-up_to": up_to, f"bands-{number}-value": value}
    return fields


def test_a_schedule_is_saved_with_its_bands(house: House, admin_client: Any) -> None:
    fields = schedule_fields("notional", ("1000000", "500"), ("2000000", "200"), ("", "50"))

    answer = admin_client.post(reverse("admin:groups_marginschedule_add"), fields)

    assert answer.status_code == 302
    assert MarginSchedule.objects.get(name="big").bands.count() == 3
    listed = admin_client.get(reverse("admin:groups_marginschedule_changelist")).content.decode()
    assert "to 1000000: 1:500, to 2000000: 1:200, above: 1:50" in listed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (schedule_fields("volume", ("10", "1"), ("10", "2")), "duplicate data for up_to"),
        (schedule_fields("volume", ("", "1"), ("", "2")), "Two bands have no end"),
        (schedule_fields("volume", ("10", "2"), ("", "1")), "asks for less margin"),
        (schedule_fields("notional", ("1000", "100"), ("", "200")), "asks for less margin"),
        (schedule_fields("volume", ("0", "1")), "above zero"),
        (schedule_fields("volume", ("10", "0")), "above zero"),
    ],
)
def test_bands_that_do_not_fit_are_explained(
    fields: dict[str, Any], message: str, house: House, admin_client: Any
) -> None:
    answer = admin_client.post(reverse("admin:groups_marginschedule_add"), fields)

    assert message in errors(answer)
    assert not MarginSchedule.objects.exists()


def use_schedule(schedule: MarginSchedule, user: str, house: House) -> None:
    if user == "group":
        TradingGroup.objects.filter(pk=house.usd.pk).update(margin_schedule=schedule)
    else:
        GroupSymbol.objects.create(group=house.usd, symbol=house.eurusd, margin_schedule=schedule)


def change_schedule(schedule: MarginSchedule, admin_client: Any, **changes: Any) -> Any:
    band = schedule.bands.get()
    fields = {**schedule_fields("volume", ("10", "1")), "bands-INITIAL_FORMS": 1, "bands-0-id": band.pk}
    url = reverse("admin:groups_marginschedule_change", args=[schedule.pk])
    fields |= {"bands-0-schedule": schedule.pk, **changes}
    return admin_client.post(url, {name: value for name, value in fields.items() if value is not None})


@pytest.fixture
def schedule(db: None) -> MarginSchedule:
    made = MarginSchedule.objects.create(name="big", kind="volume")
    MarginBand.objects.create(schedule=made, up_to=10, value=1)
    return made


@pytest.mark.parametrize("user", ["group", "symbol"])
@pytest.mark.parametrize("changes", [{"name": "huge"}, {"kind": "notional"}, {"is_pooled": "on"}])
def test_what_positions_carry_of_a_used_schedule_is_fixed(
    changes: dict[str, str], user: str, schedule: MarginSchedule, house: House, admin_client: Any
) -> None:
    use_schedule(schedule, user, house)

    answer = change_schedule(schedule, admin_client, **changes)

    assert "make another schedule" in errors(answer)
    schedule.refresh_from_db()
    assert (schedule.name, schedule.kind, schedule.is_pooled) == ("big", "volume", False)


def test_the_page_of_a_used_schedule_says_why_and_its_bands_change(
    schedule: MarginSchedule, house: House, admin_client: Any
) -> None:
    use_schedule(schedule, "group", house)
    url = reverse("admin:groups_marginschedule_change", args=[schedule.pk])

    form = admin_client.get(url).context["adminform"].form
    answer = change_schedule(schedule, admin_client, name=None, kind=None, **{"bands-0-value": "2"})

    assert [form.fields[name].disabled for name in ("name", "kind", "is_pooled")] == [True, True, True]
    assert "make another schedule" in form.fields["name"].help_text
    assert answer.status_code == 302
    assert schedule.bands.get().value == 2


def test_a_schedule_that_nobody_uses_is_still_changed(schedule: MarginSchedule, admin_client: Any) -> None:
    answer = change_schedule(schedule, admin_client, name="huge", kind="notional", is_pooled="on")

    assert answer.status_code == 302
    schedule.refresh_from_db()
    assert (schedule.name, schedule.kind, schedule.is_pooled) == ("huge", "notional", True)


# -- exchanges and holidays
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "is_accepted"), [("XNYS", True), ("24/5", True), ("NOWHERE", False)])
def test_a_session_names_an_exchange_that_exists(
    code: str, is_accepted: bool, house: House, admin_client: Any
) -> None:
    fields = {**session_fields([("0", "09:00", "17:00")]), "exchange": code}

    answer = admin_client.post(reverse("admin:market_tradingsession_add"), fields)

    assert TradingSession.objects.filter(exchange=code).exists() is is_accepted
    if not is_accepted:
        assert "There is no exchange calendar NOWHERE" in errors(answer)


def test_an_imported_holiday_that_a_person_changes_becomes_theirs(house: House, admin_client: Any) -> None:
    row = Holiday.objects.create(
        session=TradingSession.objects.get(), date=date(2026, 11, 27), closes_at=time(13), is_imported=True
    )
    fields = {"session": row.session_id, "date": "2026-11-27", "name": "Half day", "closes_at": "12:00"}

    answer = admin_client.post(reverse("admin:market_holiday_change", args=[row.pk]), fields)

    assert answer.status_code == 302
    row.refresh_from_db()
    assert (row.closes_at, row.is_imported) == (time(12), False)


def test_the_history_of_a_row_is_shown(house: House, admin_client: Any) -> None:
    Symbol.objects.filter(pk=house.eurusd.pk).update(swap_long=D("-1"))

    listed = admin_client.get(reverse("admin:market_configurationchange_changelist"), {"q": "market_symbol"})

    assert "changed or deleted" in listed.content.decode()
