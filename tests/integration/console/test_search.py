"""The search box: one step to the row, within reach and rights; what was typed stands in no address."""

import json
from typing import Any

import pytest
from django.urls import reverse

from apps.trading.models import Position
from tests.factories.house import House, buy, staff
from tests.factories.staff import signed_in

pytestmark = pytest.mark.django_db


def found(http: Any, term: Any) -> list[tuple[str, str]]:
    body = json.dumps({"term": str(term)})
    answer = http.post(reverse("admin:find"), body, content_type="application/json")
    assert answer.status_code == 200
    return [(hit["kind"], hit["url"]) for hit in answer.json()["found"]]


def page(name: str, row: Any) -> str:
    return reverse(f"admin:{name}_change", args=[row])


@pytest.mark.parametrize("term", ["anna@example.com", "ANNA@example.com", "Ahlberg", "test ahlberg"])
def test_a_client_is_found_by_exact_personal_texts(term: str, house: House, admin_client: Any) -> None:
    assert found(admin_client, term) == [("Client", page("accounts_client", house.anna.client_id))]


def test_a_number_finds_account_client_order_and_position(house: House, admin_client: Any) -> None:
    order = buy(house.anna, "EURUSD", "0.10").order
    position = Position.objects.get()

    assert found(admin_client, house.anna.login) == [
        ("Trading account", page("accounts_tradingaccount", house.anna.pk))
    ]
    assert found(admin_client, house.anna.client.number) == [
        ("Client", page("accounts_client", house.anna.client_id))
    ]
    assert ("Order", page("trading_order", order.id)) in found(admin_client, order.id)
    assert ("Position", page("trading_position", position.pk)) in found(admin_client, f"#{position.pk}")


def test_a_client_is_found_by_their_id(house: House, admin_client: Any) -> None:
    client = house.anna.client_id

    assert found(admin_client, client) == [("Client", page("accounts_client", client))]


def test_staff_are_found_by_their_email(house: House, admin_client: Any) -> None:
    dealer = staff("dealer@example.com", groups=(house.usd,))

    assert found(admin_client, "dealer@example.com") == [("User", page("accounts_user", dealer.pk))]


def test_what_lies_outside_reach_is_not_found(house: House) -> None:
    http = signed_in(staff("dealer@example.com", groups=(house.usd,)))

    assert found(http, house.bruno.login) == []
    assert found(http, "bruno@example.com") == []
    assert found(http, house.anna.login) != []


@pytest.mark.parametrize("term", ["", " ", "ann", "99999999999999999999999", "'; --", "%", "\0", "x" * 5000])
def test_odd_terms_find_nothing(term: str, house: House, admin_client: Any) -> None:
    assert found(admin_client, term) == []


@pytest.mark.parametrize("body", ["", "[]", "{}", "nonsense", '"term"'])
def test_a_body_that_is_none_is_refused(body: str, house: House, admin_client: Any) -> None:
    answer = admin_client.post(reverse("admin:find"), body, content_type="application/json")

    assert answer.status_code == 400


def test_nothing_is_found_by_an_address(house: House, admin_client: Any) -> None:
    assert admin_client.get(reverse("admin:find"), {"term": "anna@example.com"}).status_code == 405
