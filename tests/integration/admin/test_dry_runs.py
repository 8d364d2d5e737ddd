"""Look before you leap: an action shows its effect, and is done only as shown, to whom and in time."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils.html import strip_tags

from apps.accounts.models import AccountEvent, User
from apps.audit.models import Approval, StaffAction
from apps.trading.models import Order, Position
from rtx.kernel import clock
from tests.factories.house import House, buy, quote, staff
from tests.factories.operating import confirm, seal_of
from tests.integration.admin.conftest import signed_in

pytestmark = pytest.mark.django_db

ACCOUNTS = "/admin/accounts/tradingaccount/"
POSITIONS = "/admin/trading/position/"
CONFIRMED = {"operator_confirmed": "1", "reason": "client called", "request_key": "1" * 32}


@pytest.fixture
def position(house: House) -> Position:
    buy(house.anna, "EURUSD", "1.00")
    return Position.objects.get()


@pytest.fixture
def url(position: Position) -> str:
    return f"{POSITIONS}{position.pk}/close_at_market/"


def order(**changes: str) -> dict[str, str]:
    return {**CONFIRMED, "symbol": "EURUSD", "side": "buy", "type": "market", "volume": "0.10", **changes}


def test_the_effect_is_shown_and_nothing_is_done(url: str, admin_client: Any) -> None:
    before = (AccountEvent.objects.count(), StaffAction.objects.count())

    shown = admin_client.post(url, CONFIRMED)

    page = " ".join(strip_tags(shown.content.decode()).split())
    assert all(text in page for text in ("Dry run", "1.10000 / 1.10010", "-10.00 USD", "client called"))
    assert "9 990.00 USD" in page
    assert (AccountEvent.objects.count(), StaffAction.objects.count()) == before


def test_it_is_done_once_it_was_seen(url: str, admin_client: Any) -> None:
    confirm(admin_client, url, CONFIRMED)

    assert Position.objects.count() == 0


@pytest.mark.parametrize(("bid", "is_done"), [("1.10020", True), ("1.09980", True), ("1.10021", False)])
def test_a_price_beyond_the_deviation_is_shown_again(
    url: str, admin_client: Any, bid: str, is_done: bool
) -> None:
    seal = seal_of(admin_client.post(url, CONFIRMED))
    quote("EURUSD", bid, "1.10040")

    answer = admin_client.post(url, {**CONFIRMED, "operator_previewed": seal})

    assert (Position.objects.count() == 0) is is_done
    if not is_done:
        assert "The price of EURUSD (sell) was 1.1 and is now 1.10021." in answer.content.decode()
        again = {**CONFIRMED, "operator_previewed": seal_of(answer)}
        assert admin_client.post(url, again).status_code == 302


@pytest.mark.parametrize(
    ("shown_ask", "bid", "ask", "is_done"),
    [
        ("1.10090", "1.10090", "1.10180", True),  # by the spread of 90 points
        ("1.10090", "1.10091", "1.10181", False),
        ("1.10090", "1.10030", "1.10040", False),  # the spread of now is none any more: 20 points hold
        ("1.10010", "1.09970", "1.10060", False),  # nor does one that has widened since give more
    ],
)
def test_a_price_may_move_within_a_wide_spread(
    url: str, admin_client: Any, shown_ask: str, bid: str, ask: str, is_done: bool
) -> None:
    quote("EURUSD", "1.10000", shown_ask)
    seal = seal_of(admin_client.post(url, CONFIRMED))
    quote("EURUSD", bid, ask)

    admin_client.post(url, {**CONFIRMED, "operator_previewed": seal})

    assert (Position.objects.count() == 0) is is_done


def test_what_was_seen_long_ago_is_shown_again(url: str, admin_client: Any) -> None:
    seal = seal_of(admin_client.post(url, CONFIRMED))

    with time_machine.travel(clock.now() + timedelta(seconds=31), tick=True):
        answer = admin_client.post(url, {**CONFIRMED, "operator_previewed": seal})

    assert ("This is how it stands now" in answer.content.decode(), Position.objects.count()) == (True, 1)


def test_other_values_than_those_shown_are_not_carried_out(position: Position, admin_client: Any) -> None:
    url = f"{POSITIONS}{position.pk}/close_part/"
    seal = seal_of(admin_client.post(url, {**CONFIRMED, "volume": "0.01"}))

    answer = admin_client.post(url, {**CONFIRMED, "volume": "1.00", "operator_previewed": seal})

    assert ("not those that were shown" in answer.content.decode(), Position.objects.get().volume) == (
        True,
        Decimal("1.00"),
    )


@pytest.mark.parametrize("forged", ["", "x", "somebody else's"])
def test_a_seal_of_ones_own_making_does_not_do(
    url: str, house: House, admin_client: Any, forged: str
) -> None:
    if forged.startswith("somebody"):
        other = signed_in(staff("dealer@example.com", groups=(house.usd,)))
        forged = seal_of(other.post(url, CONFIRMED)) or ""
        assert forged

    answer = admin_client.post(url, {**CONFIRMED, "operator_previewed": forged})

    assert ("Please look again" in answer.content.decode(), Position.objects.count()) == (True, 1)


def test_one_can_go_back_to_the_form(position: Position, admin_client: Any) -> None:
    url = f"{POSITIONS}{position.pk}/close_part/"

    form = admin_client.post(url, {**CONFIRMED, "volume": "0.37", "operator_edit": ""})

    assert (b'value="0.37"' in form.content, Position.objects.get().volume) == (True, Decimal("1.00"))


def test_the_list_shows_the_effect_of_every_row(house: House, admin_client: Any) -> None:
    for lots in ("0.10", "0.20"):
        buy(house.anna, "EURUSD", lots)
    chosen = {
        "action": "close_at_market",
        "index": "0",
        "_selected_action": [one.pk for one in Position.objects.all()],
    }

    shown = admin_client.post(POSITIONS, CONFIRMED | chosen)
    confirm(admin_client, POSITIONS, CONFIRMED | chosen)

    assert (shown.content.decode().count("Dry run"), Position.objects.count()) == (2, 0)


def test_an_order_is_placed_from_the_account(house: House, admin_client: Any) -> None:
    url = f"{ACCOUNTS}{house.anna.pk}/place_order/"

    form = admin_client.get(url)
    refused = admin_client.post(url, order(volume="90"))
    wrong = admin_client.post(url, order(type="limit"))
    confirm(admin_client, url, order(stop_loss="1.09", comment="by phone"))

    assert b'data-rtx-priced="price/"' in form.content
    assert "the free margin does not suffice (no_money)" in refused.content.decode()
    assert b"Confirm:" not in refused.content
    assert b"is needed for a limit order" in wrong.content
    row = Order.objects.get()
    assert (row.reason, row.status, row.stop_loss, row.comment) == (
        "staff",
        "filled",
        Decimal("1.09"),
        "by phone",
    )


def test_a_pending_order_is_placed_with_all_its_fields(house: House, admin_client: Any) -> None:
    confirm(
        admin_client,
        f"{ACCOUNTS}{house.anna.pk}/place_order/",
        order(
            type="stop_limit",
            price="1.12",
            stop_limit_price="1.119",
            take_profit="1.15",
            trailing_points="300",
            time_in_force="gtd",
            expires_at="2099-01-05T21:00:00",
        ),
    )

    row = Order.objects.get()
    assert (row.status, row.type, row.price, row.stop_limit_price, row.trailing_points) == (
        "working",
        "stop_limit",
        Decimal("1.12"),
        Decimal("1.119"),
        300,
    )
    assert (row.time_in_force, row.expires_at.isoformat()) == ("gtd", "2099-01-05T21:00:00+00:00")


def test_the_price_shown_is_the_clients_own(house: House, admin_client: Any) -> None:
    house.usd.markup_ask_points = 3
    house.usd.save()

    told = admin_client.get(f"{ACCOUNTS}{house.anna.pk}/price/?symbol=EURUSD").json()
    nothing = admin_client.get(f"{ACCOUNTS}{house.anna.pk}/price/?symbol=NONE").json()

    assert (told["bid"], told["ask"], nothing) == ("1.10000", "1.10013", {})


def test_the_orders_page_leads_to_the_account(house: House, admin_client: Any) -> None:
    page = "/admin/trading/order/new_order/"
    dealer = signed_in(staff("dealer@example.com", groups=(house.usd,)))

    found = dealer.get(page, {"account": house.anna.login})
    outside = dealer.get(page, {"account": house.bruno.login})

    assert found.url == f"{ACCOUNTS}{house.anna.pk}/place_order/"
    assert b"There is no such account" in outside.content
    support = signed_in(staff("s@example.com", role=User.Role.SUPPORT, groups=(house.usd,)))
    assert support.get(page).status_code == 403


def test_reach_and_right_hold_for_orders_prices_and_reversals(house: House) -> None:
    buy(house.anna, "EURUSD", "0.10")
    position = Position.objects.get()
    support = signed_in(staff("s@example.com", role=User.Role.SUPPORT, groups=(house.usd,)))
    elsewhere = signed_in(staff("e@example.com", groups=(house.eur,)))
    places = [f"{ACCOUNTS}{house.anna.pk}/place_order/", f"{POSITIONS}{position.pk}/reverse/"]

    assert [support.get(path).status_code for path in places] == [403, 403]
    assert [elsewhere.get(path).status_code for path in places] == [404, 404]
    assert elsewhere.get(f"{ACCOUNTS}{house.anna.pk}/price/?symbol=EURUSD").status_code == 404


def test_a_reversal_is_asked_for_from_the_position(position: Position, admin_client: Any) -> None:
    url = f"{POSITIONS}{position.pk}/reverse/"

    shown = admin_client.post(url, {**CONFIRMED, "deviation": "7"})
    done = confirm(admin_client, url, {**CONFIRMED, "deviation": "7"}, follow=True)

    assert all(text in shown.content.decode() for text in ("-10.00", "second person"))
    asked = Approval.objects.get()
    assert (asked.kind, asked.status, f"approval {asked.pk}" in done.content.decode()) == (
        "trading.reverse",
        "pending",
        True,
    )
    assert Position.objects.get().side == "buy"


def test_whoever_approves_a_reversal_sees_its_effect_first(
    position: Position, house: House, admin_client: Any
) -> None:
    confirm(admin_client, f"{POSITIONS}{position.pk}/reverse/", {**CONFIRMED, "deviation": "7"})
    asked = Approval.objects.get()
    url = f"/admin/audit/approval/{asked.pk}/approve/"
    checker = signed_in(staff("dealer@example.com", groups=(house.usd,)))

    own = confirm(admin_client, url, CONFIRMED, follow=True)
    shown = checker.post(url, CONFIRMED)
    assert Position.objects.get().side == "buy"
    confirm(checker, url, CONFIRMED)

    assert "Whoever asked for it cannot decide it too" in own.content.decode()
    assert "-10.00 USD" in " ".join(strip_tags(shown.content.decode()).split())
    assert (Position.objects.get().side, Approval.objects.get().status) == ("sell", "executed")
