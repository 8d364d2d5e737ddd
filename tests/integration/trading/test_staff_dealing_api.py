"""Dealing over the admin interface: on behalf, within reach and right, once per key, tried before done."""

import json
from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.models import User
from apps.accounts.selectors import tokens as token_states
from apps.audit.models import Approval, StaffAction
from apps.audit.services import approvals
from apps.trading.models import Order, Position
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.rest import UserThrottle
from tests.factories.house import House, buy, make_house, staff
from tests.factories.rows import Trader
from tests.factories.staff import token_of

pytestmark = pytest.mark.django_db

BASE = "/api/admin/"
REASON = "client called, ticket 4711"


@pytest.fixture(autouse=True)
def _fresh(db: None) -> None:
    token_states.forget()
    UserThrottle._bucket._levels.clear()


@pytest.fixture
def house(db: None) -> House:
    return make_house()


class Desk:
    """A member of staff with a program."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.http = Trader(token_of(user))

    def send(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self.http.call(method, BASE + path, json.dumps(body) if body is not None else b"", **headers)


@pytest.fixture
def dealer(house: House) -> Desk:
    """A dealer who reaches the USD group only."""
    return Desk(staff("dealer@example.com", groups=(house.usd,)))


@pytest.fixture
def support(house: House) -> Desk:
    return Desk(staff("support@example.com", role=User.Role.SUPPORT, groups=(house.usd,)))


def order(house: House, **changes: Any) -> dict[str, Any]:
    return {
        "account": house.anna.login,
        "symbol": "EURUSD",
        "side": "buy",
        "volume": "0.10",
        "reason": REASON,
        **changes,
    }


def limit(house: House, **changes: Any) -> dict[str, Any]:
    return order(house, type="limit", price="1.09000", **changes)


def test_a_market_order_is_placed_for_a_client(house: House, dealer: Desk) -> None:
    answer = dealer.send("POST", "order/create", order(house, stop_loss="1.09000"), key="k1")

    told = answer.json()
    row = Order.objects.get()
    assert (answer.status_code, told["status"], told["average_price"]) == (201, "filled", "1.10010")
    assert (row.reason, row.client_order_id == told["client_order_id"]) == ("staff", True)
    entry = StaffAction.objects.get()
    assert (entry.operation, entry.user_id, entry.reason) == (
        "trading.place_market",
        dealer.user.pk,
        REASON,
    )


def test_the_same_key_is_the_same_order(house: House, dealer: Desk) -> None:
    first = dealer.send("POST", "order/create", order(house), key="k1")
    again = dealer.send("POST", "order/create", order(house), key="k1")
    other = dealer.send("POST", "order/create", order(house, volume="0.20"), key="k1")

    assert (again.status_code, again.json()) == (201, first.json())
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert Order.objects.count() == 1


def test_a_key_is_needed_but_not_to_try(house: House, dealer: Desk) -> None:
    without = dealer.send("POST", "order/create", order(house))
    tried = dealer.send("POST", "order/create?dry_run=true", order(house))

    assert (without.status_code, without.json()["code"]) == (400, "invalid")
    told = tried.json()
    assert (tried.status_code, told["dry_run"], told["event"]) == (200, True, "order_filled")
    assert (told["before"]["free_margin"], told["after"]["margin"]) == ("10000.00", "110.01")
    assert (Order.objects.count(), StaffAction.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "limit"}, "price"),
        ({"type": "market", "time_in_force": "gtc"}, "time_in_force"),
        ({"type": "limit", "price": "1.09", "deviation": 3}, "deviation"),
        ({"type": "limit", "price": "1.09", "stop_limit_price": "1.08"}, "stop_limit_price"),
        ({"type": "stop_limit", "price": "1.12"}, "stop_limit_price"),
        ({"reason": "x"}, "reason"),
        ({"volume": "-1"}, "volume"),
        ({"balance": "1"}, "body"),
    ],
)
def test_a_wrong_order_is_told_at_its_field(
    house: House, dealer: Desk, changes: dict[str, Any], field: str
) -> None:
    answer = dealer.send("POST", "order/create", order(house, **changes), key="k1")

    assert (answer.status_code, Order.objects.count()) == (400, 0)
    assert field in json.dumps(answer.json()["errors"])


def test_an_order_is_listed_changed_and_taken_back(house: House, dealer: Desk) -> None:
    placed = dealer.send("POST", "order/create", limit(house), key="k1").json()
    path = f"order/{placed['id']}"

    changed = dealer.send("PUT", path, {"price": "1.09100", "reason": REASON}, key="k2")
    listed = dealer.send("GET", f"orders?account={house.anna.login}&status=working")
    tried = dealer.send("DELETE", f"{path}?dry_run=true", {"reason": REASON})
    gone = dealer.send("DELETE", path, {"reason": REASON}, key="k3")
    late = dealer.send("PUT", path, {"price": "1.09200", "reason": REASON}, key="k4")

    assert (changed.status_code, changed.json()["price"]) == (200, "1.09100")
    assert [one["id"] for one in listed.json()["results"]] == [placed["id"]]
    assert (tried.json()["event"], gone.json()["status"]) == ("order_canceled", "canceled")
    assert (late.status_code, late.json()["code"]) == (409, "order_not_working")


def test_positions_are_listed_with_their_present_value(house: House, dealer: Desk) -> None:
    buy(house.anna, "EURUSD", "0.10")
    buy(house.bruno, "EURUSD", "0.10")

    (told,) = dealer.send("GET", "positions").json()["results"]

    assert (told["account"], told["group"], told["book"]) == (house.anna.login, "usd", "b")
    assert (told["current_price"], told["profit"], told["margin"]) == ("1.10000", "-1.00", "110.01")


def test_a_position_is_changed_and_closed(house: House, dealer: Desk) -> None:
    buy(house.anna, "EURUSD", "0.10")
    position = Position.objects.get()
    path = f"position/{position.pk}"

    changed = dealer.send("POST", f"{path}/modify", {"stop_loss": "1.09000", "reason": REASON}, key="k1")
    part = dealer.send("POST", f"{path}/close", {"volume": "0.04", "reason": REASON}, key="k2")
    rest = dealer.send("POST", f"{path}/close", {"reason": REASON}, key="k3")
    again = dealer.send("POST", f"{path}/close", {"reason": REASON}, key="k3")

    assert (changed.status_code, changed.json()["stop_loss"]) == (200, "1.09000")
    assert (part.status_code, part.json()["filled_volume"]) == (201, "0.04")
    assert (rest.json()["filled_volume"], again.json() == rest.json()) == ("0.06", True)
    assert Position.objects.count() == 0


def test_a_reversal_is_asked_for_and_carried_out_by_another_person(house: House, dealer: Desk) -> None:
    buy(house.anna, "EURUSD", "0.10")
    position = Position.objects.get()
    path = f"position/{position.pk}/reverse"

    tried = dealer.send("POST", f"{path}?dry_run=true", {"reason": REASON})
    asked = dealer.send("POST", path, {"reason": REASON, "deviation": 5}, key="k1")
    again = dealer.send("POST", path, {"reason": REASON, "deviation": 5}, key="k1")

    assert (tried.json()["event"], tried.json()["profit"]) == ("position_reversed", "-1.00")
    told = asked.json()
    assert (asked.status_code, told["status"], told["price"], told["deviation"]) == (
        202,
        "pending",
        "1.10000",
        5,
    )
    assert (again.json(), Approval.objects.count()) == (told, 1)
    checker = Actor(kind=ActorKind.STAFF, name="user:424242", reason="agreed")
    approvals.approve(approval_id=told["approval"], actor=checker, may=lambda _: True)
    assert (Position.objects.get().side, Position.objects.get().volume) == ("sell", Decimal("0.10"))


def calls(house: House) -> list[tuple[str, str, Any]]:
    """Every write, about Bruno's account (the EUR group's) or Anna's."""
    held = {one.account_id: one.pk for one in Position.objects.all()}
    waiting = {one.account_id: one.pk for one in Order.objects.filter(status="working")}
    return [
        (method, path.format(p=held[account.pk], o=waiting[account.pk]), {"reason": REASON, **body})
        for account in (house.bruno, house.anna)
        for method, path, body in (
            ("POST", "order/create", {**order(house), "account": account.login}),
            ("PUT", "order/{o}", {"price": "1.08"}),
            ("DELETE", "order/{o}", {}),
            ("POST", "position/{p}/close", {}),
            ("POST", "position/{p}/modify", {"stop_loss": "1.05"}),
            ("POST", "position/{p}/reverse", {}),
        )
    ]


def test_outside_reach_nothing_is_there_and_without_the_right_nothing_is_done(
    house: House, support: Desk
) -> None:
    boss = Desk(User.objects.create_superuser("boss@example.com", "correct horse battery 17"))
    for account in (house.anna, house.bruno):
        buy(account, "EURUSD", "0.10")
        boss.send("POST", "order/create", limit(house, account=account.login), key=f"k{account.pk}")
    orders = Order.objects.count()
    last = StaffAction.objects.latest("id").pk

    told = [support.send(*call, key=f"s{n}").status_code for n, call in enumerate(calls(house))]

    assert told == [404] * 6 + [403] * 6
    assert Order.objects.count() == orders
    assert [one.outcome for one in StaffAction.objects.filter(pk__gt=last)] == ["refused"] * 6
    logins = {one["account"] for one in support.send("GET", "positions").json()["results"]}
    assert logins == {house.anna.login}
    assert support.send("GET", f"orders?account={house.bruno.login}").status_code == 404
