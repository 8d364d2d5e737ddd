"""
Operator actions: asked for, confirmed, one service call per row, every result shown; and configuration forms.
"""

from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from apps.accounts.models import AccountEvent
from apps.groups.models import TradingGroup
from apps.market.models import Symbol, TradingSession
from apps.market.services.board import board
from apps.trading.models import Order, Position
from tests.factories.house import House, buy, staff
from tests.factories.operating import confirm
from tests.integration.admin.conftest import signed_in

pytestmark = pytest.mark.django_db

LIST = "/admin/trading/position/"
CONFIRMED = {
    "action": "close_at_market",
    "index": "0",
    "operator_confirmed": "1",
    "reason": "client called",
    "request_key": "1" * 32,
}


def texts(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


@pytest.fixture
def position(house: House) -> Position:
    buy(house.anna, "EURUSD", "0.10")
    return Position.objects.get()


def test_the_list_asks_before_it_closes(position: Position, admin_client: Any) -> None:
    asked = confirm(
        admin_client, LIST, {"action": "close_at_market", "index": "0", "_selected_action": position.pk}
    )

    assert asked.status_code == 200
    assert b"cannot be undone" in asked.content
    assert Position.objects.count() == 1


def test_a_confirmed_close_books_the_deal(position: Position, admin_client: Any, operator: Any) -> None:
    done = confirm(admin_client, LIST, {**CONFIRMED, "_selected_action": position.pk}, follow=True)

    order = Order.objects.latest("id")
    event = AccountEvent.objects.filter(account=order.account).latest("seq")
    assert "closed by order" in texts(done)[0]
    assert not Position.objects.exists()
    assert (order.side, order.status, order.volume) == ("sell", "filled", Decimal("0.10"))
    assert event.actor == f"staff:user:{operator.pk}"


def test_a_reason_is_required(position: Position, admin_client: Any) -> None:
    again = confirm(admin_client, LIST, {**CONFIRMED, "reason": " ", "_selected_action": position.pk})

    assert b"This field is required" in again.content
    assert Position.objects.count() == 1


def test_the_same_confirmation_twice_closes_once(position: Position, admin_client: Any) -> None:
    url = f"{LIST}{position.pk}/close_at_market/"
    confirm(admin_client, url, CONFIRMED)
    second = confirm(admin_client, url, CONFIRMED)

    assert second.status_code == 404  # the position is closed: nothing there to act on
    assert Order.objects.count() == 2


def test_a_refusal_is_shown_and_changes_nothing(position: Position, admin_client: Any) -> None:
    board().clear()

    done = confirm(admin_client, LIST, {**CONFIRMED, "_selected_action": position.pk}, follow=True)

    assert "off_quotes" in texts(done)[0]
    assert Position.objects.count() == 1


def test_without_the_right_there_is_no_action(position: Position, house: House) -> None:
    http = signed_in(staff("support@example.com", role="support", groups=(house.usd,)))

    page = http.get(LIST)
    posted = confirm(http, LIST, {**CONFIRMED, "_selected_action": position.pk}, follow=True)
    direct = confirm(http, f"{LIST}{position.pk}/close_at_market/", CONFIRMED)

    assert page.status_code == 200
    assert b"close_at_market" not in page.content
    assert direct.status_code == 403
    assert posted.status_code in {200, 403}
    assert Position.objects.count() == 1


def test_a_position_out_of_reach_cannot_be_closed(position: Position, house: House) -> None:
    dealer = staff("dealer@example.com", groups=(house.eur,))
    http = signed_in(dealer)

    direct = confirm(http, f"{LIST}{position.pk}/close_at_market/", CONFIRMED)
    listed = confirm(http, LIST, {**CONFIRMED, "_selected_action": position.pk}, follow=True)

    assert direct.status_code == 404
    assert "no longer there" in texts(listed)[0]
    assert Position.objects.count() == 1


def test_an_account_is_disabled_with_a_reason(house: House, admin_client: Any) -> None:
    url = f"/admin/accounts/tradingaccount/{house.anna.pk}/disable/"

    done = confirm(admin_client, url, {**CONFIRMED, "reason": "asked for by the client"}, follow=True)
    refused = buy(house.anna, "EURUSD", "0.10")

    house.anna.refresh_from_db()
    assert "status is now disabled" in texts(done)[0]
    assert house.anna.status == "disabled"
    assert refused.order.reject_reason == "account_disabled"
    assert AccountEvent.objects.filter(account=house.anna, type="account_changed").count() == 1


def errors(response: Any) -> str:
    assert response.status_code == 200, "the form was accepted"
    form = response.context["adminform"].form
    sets = [formset.formset for formset in response.context["inline_admin_formsets"]]
    return " ".join(
        [
            str(form.errors),
            *(str(one.errors) for one in sets),
            *(str(one.non_form_errors()) for one in sets),
        ]
    )


WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def symbol_fields(**changes: Any) -> dict[str, Any]:
    session = TradingSession.objects.get()
    return {
        "name": "GBPUSD",
        "description": "",
        "asset_class": "forex",
        "trade_mode": "full",
        "session": session.pk,
        "is_active": "on",
        "base_currency": "GBP",
        "profit_currency": "USD",
        "margin_currency": "GBP",
        "digits": "5",
        "contract_size": "100000",
        "volume_min": "0.01",
        "volume_max": "100",
        "volume_step": "0.01",
        "margin_mode": "forex",
        "margin_initial": "0",
        "margin_rate_buy": "1",
        "margin_rate_sell": "1",
        "margin_rate_pending": "0",
        "stop_level_points": "0",
        "freeze_level_points": "0",
        "swap_mode": "none",
        "swap_long": "0",
        "swap_short": "0",
        **{f"swap_multipliers_{day}": "1" for day in WEEK},
        "hedged_contract_size": "",
        "tick_size": "0",
        "tick_price": "0",
        "quote_age_max_s": "30",
        "spike_max_pct": "2",
        "change_reason": "agreed with risk",
    } | changes


def test_a_symbol_is_created(house: House, admin_client: Any) -> None:
    answer = confirm(admin_client, reverse("admin:market_symbol_add"), symbol_fields())

    assert answer.status_code == 302
    assert Symbol.objects.get(name="GBPUSD").volume_step == Decimal("0.01")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"volume_min": "0.015"}, "Not a multiple of the step"),
        ({"volume_max": "0.001"}, "below the smallest"),
        ({"base_currency": "gbp"}, "capitals"),
        ({"contract_size": "0"}, "greater than or equal"),
        ({"contract_size": "NaN"}, "Enter a number"),
        ({"digits": "99"}, "At most 10 decimals"),
        ({"margin_mode": "fixed"}, "needs an amount per lot"),
        ({"margin_mode": "index"}, "needs a tick size"),
        ({"spike_max_pct": "0"}, "above zero"),
        ({"name": "EURUSD"}, "already exists"),
        ({"name": "EUR USD"}, "Letters, digits"),
        ({"session": "777"}, "valid choice"),
    ],
)
def test_a_symbol_that_does_not_fit_is_explained(
    changes: dict[str, str], message: str, house: House, admin_client: Any
) -> None:
    answer = confirm(admin_client, reverse("admin:market_symbol_add"), symbol_fields(**changes))

    assert message in errors(answer)
    assert Symbol.objects.count() == 2


def session_fields(hours: list[tuple[str, str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "new",
        "timezone": "Europe/Berlin",
        "hours-TOTAL_FORMS": len(hours),
        "hours-INITIAL_FORMS": 0,
        "holidays-TOTAL_FORMS": 0,
        "holidays-INITIAL_FORMS": 0,
    }
    for number, (day, opens, closes) in enumerate(hours):
        fields |= {
            f"hours-{number}-weekday": day,
            f"hours-{number}-opens_at": opens,
            f"hours-{number}-closes_at": closes,
        }
    return fields


@pytest.mark.parametrize(
    ("hours", "message"),
    [
        ([("0", "17:00", "09:00")], "split an overnight session"),
        ([("0", "09:00", "12:00"), ("0", "11:00", "17:00")], "begins before the last one ends"),
        ([("0", "09:00", "00:00"), ("0", "22:00", "23:00")], "begins before the last one ends"),
    ],
)
def test_hours_that_contradict_each_other_are_explained(
    hours: list[tuple[str, str, str]], message: str, house: House, admin_client: Any
) -> None:
    answer = confirm(admin_client, reverse("admin:market_tradingsession_add"), session_fields(hours))

    assert message in errors(answer)


def test_a_week_of_hours_is_saved(house: House, admin_client: Any) -> None:
    hours = [("0", "09:00", "12:00"), ("0", "12:00", "00:00"), ("1", "09:00", "12:00")]

    answer = confirm(admin_client, reverse("admin:market_tradingsession_add"), session_fields(hours))

    assert answer.status_code == 302
    assert TradingSession.objects.get(name="new").hours.count() == 3


def test_a_session_in_use_is_not_deleted(house: House, admin_client: Any) -> None:
    session = TradingSession.objects.get()

    confirm(
        admin_client,
        reverse("admin:market_tradingsession_delete", args=[session.pk]),
        {"post": "yes", "change_reason": "not needed any more"},
    )

    assert TradingSession.objects.filter(pk=session.pk).exists()


def group_fields(group: TradingGroup, **changes: Any) -> dict[str, Any]:
    return {
        "name": group.name,
        "description": "",
        "currency": group.currency,
        "position_mode": group.position_mode,
        "is_active": "on",
        "leverage_max": "100",
        "margin_call_pct": "100",
        "stop_out_pct": "50",
        "stop_out_rule": group.stop_out_rule,
        "positions_max": "500",
        "orders_max": "500",
        "allows_hedging": "on",
        "rollover_time": "17:00",
        "rollover_timezone": "America/New_York",
        "admin_fee_per_lot": "0",
        "admin_fee_after_nights": "0",
        "commission_minimum": "0",
        "commission_tiers-TOTAL_FORMS": 0,
        "commission_tiers-INITIAL_FORMS": 0,
        "markup_bid_points": "0",
        "markup_ask_points": "0",
        "commission_mode": "none",
        "commission_value": "0",
        "commission_charge": "both",
        "symbol_terms-TOTAL_FORMS": 0,
        "symbol_terms-INITIAL_FORMS": 0,
        "change_reason": "agreed with risk",
    } | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin_call_pct": "40"}, "must not be below the stop-out level"),
        ({"markup_bid_points": "-1"}, "greater than or equal to 0"),
        ({"currency": "EUR"}, "opened with the old value"),
        ({"position_mode": "netting"}, "opened with the old value"),
        ({"commission_value": "3"}, "Choose how the commission is computed"),
        ({"leverage_max": "0"}, "greater than or equal to 1"),
    ],
)
def test_group_terms_that_do_not_fit_are_explained(
    changes: dict[str, str], message: str, house: House, admin_client: Any
) -> None:
    url = reverse("admin:groups_tradinggroup_change", args=[house.usd.pk])

    answer = confirm(admin_client, url, group_fields(house.usd, **changes))

    assert message in errors(answer)


def test_group_terms_per_symbol_are_saved_with_the_group(house: House, admin_client: Any) -> None:
    url = reverse("admin:groups_tradinggroup_change", args=[house.usd.pk])
    terms = {
        "symbol_terms-TOTAL_FORMS": 1,
        "symbol_terms-0-symbol": house.eurusd.pk,
        "symbol_terms-0-group": house.usd.pk,
        "symbol_terms-0-is_offered": "on",
        "symbol_terms-0-book": "b",
        "symbol_terms-0-markup_bid_points": "3",
        "symbol_terms-0-markup_ask_points": "4",
    }

    answer = confirm(admin_client, url, group_fields(house.usd, **terms))

    assert answer.status_code == 302
    saved = house.usd.symbol_terms.get()
    assert (saved.markup_bid_points, saved.markup_ask_points) == (Decimal(3), Decimal(4))
