"""
What staff may do to orders and positions of clients: change, take back, close in part, by an opposite one, or
all; each with a reason, within right and reach, noted in the staff log.
"""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.models import AccountEvent
from apps.audit.models import StaffAction
from apps.trading.domain.orders import OrderType, Side
from apps.trading.models import Order, Position
from apps.trading.services import orders, positions
from apps.trading.services.orders import PendingOrder
from tests.factories.house import SEEDER, House, buy, staff
from tests.factories.operating import confirm
from tests.integration.admin.conftest import signed_in

pytestmark = pytest.mark.django_db

ORDERS = "/admin/trading/order/"
POSITIONS = "/admin/trading/position/"
REASON = "client called"
CONFIRMED = {"operator_confirmed": "1", "reason": REASON, "request_key": "1" * 32}


def texts(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def logged() -> StaffAction:
    return StaffAction.objects.latest("id")


@pytest.fixture
def order(house: House) -> Order:
    """A buy limit that waits."""
    pending = PendingOrder(
        symbol="EURUSD",
        side=Side.BUY,
        volume=Decimal("0.10"),
        client_order_id=uuid4().hex,
        type=OrderType.LIMIT,
        price=Decimal("1.09000"),
        take_profit=Decimal("1.12000"),
    )
    orders.place_pending(account_id=house.anna.pk, order=pending, actor=SEEDER)
    return Order.objects.get()


@pytest.fixture
def position(house: House) -> Position:
    buy(house.anna, "EURUSD", "0.10")
    return Position.objects.get()


def change_stops(position: Position, *, stop_loss: str) -> None:
    positions.modify(
        account_id=position.account_id,
        position_id=position.pk,
        changes={"stop_loss": Decimal(stop_loss)},
        key=uuid4().hex,
        actor=SEEDER,
    )


def order_form(**changes: str) -> dict[str, str]:
    """The form as it is shown for the order, with what is edited."""
    shown = {
        "price": "1.09",
        "volume": "0.1",
        "stop_loss": "",
        "take_profit": "1.12",
        "trailing_points": "",
        "time_in_force": "gtc",
        "expires_at": "",
    }
    return CONFIRMED | carried(shown) | shown | changes


def carried(shown: dict[str, str]) -> dict[str, str]:
    """What a form carries along: the values that it showed."""
    return {f"initial-{name}": value for name, value in shown.items()}


def stops_form(*, shown: dict[str, str], **changes: str) -> dict[str, str]:
    """The form of a position's stops as it was shown, with what is edited."""
    before = {"stop_loss": "", "take_profit": "", "trailing_points": ""} | shown
    return CONFIRMED | carried(before) | before | changes


def test_an_order_is_canceled_from_the_list(order: Order, admin_client: Any, operator: Any) -> None:
    chosen = {"action": "cancel", "index": "0", "_selected_action": order.pk}

    asked = admin_client.post(ORDERS, chosen)
    done = confirm(admin_client, ORDERS, CONFIRMED | chosen, follow=True)

    order.refresh_from_db()
    assert b"taken back for good" in asked.content
    assert "canceled" in texts(done)[0]
    assert order.status == "canceled"
    assert (
        AccountEvent.objects.filter(account=order.account).latest("seq").actor == f"staff:user:{operator.pk}"
    )
    entry = logged()
    assert (entry.operation, entry.outcome, entry.reason) == ("trading.cancel_order", "done", REASON)
    assert (entry.user_id, entry.account_id) == (operator.pk, order.account_id)
    assert (entry.before["order"]["status"], entry.after["orders"][0]["status"]) == ("working", "canceled")


def test_an_order_is_changed_where_it_was_edited(order: Order, admin_client: Any) -> None:
    url = f"{ORDERS}{order.pk}/modify/"

    asked = admin_client.get(url)
    form = order_form(price="1.0910", take_profit="", time_in_force="gtd", expires_at="2099-01-05T21:00:00")
    done = confirm(admin_client, url, form, follow=True)

    order.refresh_from_db()
    assert b'value="1.09"' in asked.content
    assert (order.price, order.volume, order.take_profit) == (Decimal("1.0910"), Decimal("0.10"), None)
    assert (order.time_in_force, order.expires_at.isoformat()) == ("gtd", "2099-01-05T21:00:00+00:00")
    assert done.redirect_chain[-1][0] == f"{ORDERS}{order.pk}/change/"
    was, becomes = logged().before["order"], logged().after["orders"][0]
    assert (becomes["price"], becomes["take_profit"]) == ("1.0910", None)
    assert (was["price"], was["take_profit"]) != ("1.0910", None)


def test_the_same_submission_twice_changes_once(order: Order, admin_client: Any) -> None:
    url = f"{ORDERS}{order.pk}/modify/"

    for _ in range(2):
        confirm(admin_client, url, order_form(price="1.0910", take_profit="1.12"))

    assert AccountEvent.objects.filter(type="order_modified").count() == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "Nothing was changed"),
        ({"price": ""}, "This field is required"),
        ({"price": "NaN"}, "Enter a number"),
        ({"volume": "-1"}, "greater than or equal"),
        ({"volume": "0"}, "greater than or equal"),
        ({"trailing_points": "0"}, "greater than or equal"),
        ({"time_in_force": "ioc"}, "Select a valid choice"),
        ({"expires_at": "soon"}, "valid date"),
        ({"price": "1.0910", "reason": ""}, "This field is required"),
    ],
)
def test_a_form_that_does_not_fit_is_explained(
    changes: dict[str, str], message: str, order: Order, admin_client: Any
) -> None:
    answer = confirm(admin_client, f"{ORDERS}{order.pk}/modify/", order_form(**changes))

    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert not AccountEvent.objects.filter(type="order_modified").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stop_loss": "1.1"}, "invalid_stops"),
        ({"expires_at": "2099-01-05T21:00"}, "expires_at belongs to gtd"),
        ({"volume": "0.105"}, "invalid_volume"),
    ],
)
def test_a_refusal_of_the_book_is_shown_and_logged(
    changes: dict[str, str], message: str, order: Order, admin_client: Any
) -> None:
    done = confirm(admin_client, f"{ORDERS}{order.pk}/modify/", order_form(**changes), follow=True)

    assert message in texts(done)[0]
    entry = logged()
    assert entry.outcome == "refused"
    assert (entry.after.get("reject_reason") or entry.detail) in (message, f"{message}.", f"{message} only.")
    assert not AccountEvent.objects.filter(type="order_modified").exists()


def test_a_final_order_offers_nothing(house: House, admin_client: Any) -> None:
    buy(house.anna, "EURUSD", "0.10")
    order = Order.objects.get()
    page = admin_client.get(f"{ORDERS}{order.pk}/change/").content

    done = confirm(admin_client, f"{ORDERS}{order.pk}/cancel/", CONFIRMED, follow=True)

    assert f"{ORDERS}{order.pk}/cancel/".encode() not in page
    assert "is not working" in texts(done)[0]


def test_working_orders_are_filtered(order: Order, house: House, admin_client: Any) -> None:
    buy(house.anna, "EURUSD", "0.10")

    def found(state: str) -> list[int]:
        page = admin_client.get(ORDERS, {"state": state})
        return [row.pk for row in page.context["cl"].result_list]

    assert found("working") == [order.pk]
    assert order.pk not in found("final")
    assert len(found("final")) == 1


def test_a_positions_stops_are_changed(position: Position, admin_client: Any) -> None:
    form = stops_form(shown={}, stop_loss="1.0900", trailing_points="500")

    done = confirm(admin_client, f"{POSITIONS}{position.pk}/modify/", form, follow=True)

    position.refresh_from_db()
    assert (position.stop_loss, position.take_profit, position.trailing_points) == (
        Decimal("1.09500"),  # 500 points behind the bid are nearer than what was asked for
        None,
        500,
    )
    assert "stop loss is now 1.0900, trailing points is now 500" in texts(done)[0]


def test_a_stop_that_moved_while_the_form_was_open_stays(position: Position, admin_client: Any) -> None:
    change_stops(position, stop_loss="1.0900")
    url = f"{POSITIONS}{position.pk}/modify/"
    asked = admin_client.get(url).content.decode()
    change_stops(position, stop_loss="1.0950")  # as a trailing stop does

    done = confirm(
        admin_client, url, stops_form(shown={"stop_loss": "1.09"}, take_profit="1.12"), follow=True
    )

    position.refresh_from_db()
    assert 'type="hidden" name="initial-stop_loss" value="1.09"' in asked
    assert (position.stop_loss, position.take_profit) == (Decimal("1.0950"), Decimal("1.12"))
    assert texts(done)[0] == "Stop loss had meanwhile become 1.095: left as it is."


def test_an_edited_value_that_moved_is_asked_about(position: Position, admin_client: Any) -> None:
    change_stops(position, stop_loss="1.0950")
    url = f"{POSITIONS}{position.pk}/modify/"

    asked = confirm(admin_client, url, stops_form(shown={"stop_loss": "1.09"}, stop_loss="1.092"))
    kept = Position.objects.get().stop_loss
    confirm(admin_client, url, stops_form(shown={"stop_loss": "1.095"}, stop_loss="1.092"))

    page = asked.content.decode()
    assert "It has meanwhile become 1.095. Is this still right?" in page
    assert 'name="initial-stop_loss" value="1.095"' in page
    assert 'value="1.092"' in page
    assert kept == Decimal("1.0950")
    assert Position.objects.get().stop_loss == Decimal("1.092")


def test_an_order_that_moved_while_the_form_was_open_keeps_what_was_not_edited(
    order: Order, admin_client: Any
) -> None:
    expiry = {"time_in_force": "gtd", "expires_at": "2099-01-05T21:00:00"}
    url = f"{ORDERS}{order.pk}/modify/"
    confirm(admin_client, url, order_form(price="1.0910", **expiry), follow=True)

    again = {"request_key": "2" * 32}
    done = confirm(admin_client, url, order_form(take_profit="1.13", **again), follow=True)

    order.refresh_from_db()
    assert (order.price, order.take_profit) == (Decimal("1.0910"), Decimal("1.13"))
    assert (order.time_in_force, order.expires_at.isoformat()) == ("gtd", "2099-01-05T21:00:00+00:00")
    assert [text.partition(" had")[0] for text in texts(done)[:3]] == [
        "Price", "Time in force", "Expires at (UTC)",
    ]  # fmt: skip


def test_a_form_that_does_not_tell_what_it_showed_changes_nothing(order: Order, admin_client: Any) -> None:
    form = {name: value for name, value in order_form(price="1.0910").items() if name != "initial-price"}

    answer = confirm(admin_client, f"{ORDERS}{order.pk}/modify/", form)

    assert "does not tell what it showed" in answer.content.decode()
    assert not AccountEvent.objects.filter(type="order_modified").exists()


def test_a_part_is_closed(position: Position, admin_client: Any) -> None:
    url = f"{POSITIONS}{position.pk}/close_part/"

    more = confirm(admin_client, url, CONFIRMED | {"volume": "0.2"})
    done = confirm(admin_client, url, CONFIRMED | {"volume": "0.04"}, follow=True)
    again = confirm(admin_client, url, CONFIRMED | {"volume": "0.04"}, follow=True)

    position.refresh_from_db()
    assert b"Only 0.1 lots are open" in more.content
    assert position.volume == Decimal("0.06")
    assert "0.04 lots closed by order" in texts(done)[0]
    assert texts(again)[0].partition(": ")[2] == texts(done)[0].partition(": ")[2]


def test_a_position_is_closed_by_its_opposite(position: Position, house: House, admin_client: Any) -> None:
    url = f"{POSITIONS}{position.pk}/close_by/"
    alone = admin_client.get(url)
    buy(house.anna, "EURUSD", "0.10", side=Side.SELL)
    opposite = Position.objects.latest("id")

    asked = admin_client.get(url)
    bad = confirm(admin_client, url, CONFIRMED | {"opposite_id": position.pk})
    done = confirm(admin_client, url, CONFIRMED | {"opposite_id": opposite.pk}, follow=True)

    assert b"holds no opposite position" in alone.content
    assert f"#{opposite.pk} sell 0.1 @ 1.1".encode() in asked.content
    assert b"Select a valid choice" in bad.content
    assert f"0.1 lots closed by #{opposite.pk}" in texts(done)[0]
    assert not Position.objects.exists()


def test_everything_of_an_account_is_closed(house: House, admin_client: Any) -> None:
    for symbol in ("EURUSD", "USDJPY"):
        buy(house.anna, symbol, "0.10")
    url = f"/admin/accounts/tradingaccount/{house.anna.pk}/close_all/"

    one = confirm(admin_client, url, CONFIRMED | {"symbol": "EURUSD"}, follow=True)
    left = list(Position.objects.values_list("symbol__name", flat=True))
    rest = confirm(admin_client, url, CONFIRMED | {"symbol": "", "request_key": "2" * 32}, follow=True)

    assert ("1 positions closed" in texts(one)[0], left) == (True, ["USDJPY"])
    assert "1 positions closed" in texts(rest)[0]
    assert one.redirect_chain[-1][0] == f"/admin/accounts/tradingaccount/{house.anna.pk}/change/"
    assert not Position.objects.exists()


ACTIONS = ("order/{order}/modify", "order/{order}/cancel", "position/{position}/modify")


@pytest.mark.parametrize("action", ACTIONS)
def test_right_and_reach_are_needed(
    action: str, order: Order, position: Position, house: House, admin_client: Any
) -> None:
    url = f"/admin/trading/{action.format(order=order.pk, position=position.pk)}/"
    support = signed_in(staff("support@example.com", role="support", groups=(house.usd,)))
    elsewhere = signed_in(staff("elsewhere@example.com", groups=(house.eur,)))
    dealer = signed_in(staff("dealer@example.com", groups=(house.usd,)))

    assert confirm(support, url, CONFIRMED).status_code == 403
    assert confirm(elsewhere, url, CONFIRMED).status_code == 404
    assert dealer.get(url).status_code == 200
    assert url.encode() not in support.get(f"/admin/trading/order/{order.pk}/change/").content


def test_closing_everything_needs_right_and_reach(position: Position, house: House) -> None:
    url = f"/admin/accounts/tradingaccount/{house.anna.pk}/close_all/"
    support = signed_in(staff("support@example.com", role="support", groups=(house.usd,)))
    elsewhere = signed_in(staff("elsewhere@example.com", groups=(house.eur,)))

    assert confirm(support, url, CONFIRMED | {"symbol": ""}).status_code == 403
    assert confirm(elsewhere, url, CONFIRMED | {"symbol": ""}).status_code == 404
    assert Position.objects.count() == 1
