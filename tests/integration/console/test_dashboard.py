"""The live figures of the dashboard: exact, limited to rights and reach, and cheap."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import LedgerLine
from apps.console.selectors import attention
from apps.console.selectors import dashboard as selectors
from apps.crm.models import DeadLetter, Link
from apps.crm.services import claims
from apps.market.models import EngineLease, FeedStatus
from apps.market.services.board import board
from apps.trading.domain.orders import Side
from rtx.kernel import clock
from tests.factories import crm
from tests.factories.house import House, buy, fill, quote, staff
from tests.integration.admin.conftest import signed_in

pytestmark = pytest.mark.django_db

Ask = Callable[[], dict[str, Any]]


@pytest.fixture
def ask(admin_client: Client) -> Ask:
    """Return what the dashboard polls, computed anew."""

    def figures() -> dict[str, Any]:
        selectors.kept.forget()
        shown: dict[str, Any] = admin_client.get(reverse("admin:live")).json()
        return shown

    return figures


def test_strangers_are_sent_to_the_sign_in_page(house: House, client: Client) -> None:
    assert client.get(reverse("admin:live")).status_code == 302


def test_traders_have_no_dashboard(house: House) -> None:
    assert signed_in(house.anna.client.user).get(reverse("admin:live")).status_code == 302


def test_the_page_carries_its_first_figures(house: House, admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:index"))

    assert page.context["dashboard"]["figures"]["accounts"] == {"total": 2, "active": 2}
    assert b"rtx-dashboard" in page.content


def test_exposure_counts_the_open_positions(house: House, ask: Ask) -> None:
    buy(house.anna, "EURUSD", "0.30")
    buy(house.bruno, "EURUSD", "0.10", side=Side.SELL)
    quote("EURUSD", "1.11000", "1.11000")

    (row,) = ask()["exposure"]

    assert (row["symbol"], row["buy"], row["sell"], row["net"]) == ("EURUSD", "0.3", "0.1", "0.2")
    assert (row["positions"], row["notional"]) == (2, "22200.00")
    # clients: 0.3 x (1.11 - 1.1001) x 100,000 - 0.1 x (1.11 - 1.1) x 100,000 = 297 - 100
    assert row["house"] == "-197.00"


def test_house_profit_is_the_sum_of_its_ledgers_today(house: House, ask: Ask) -> None:
    house.usd.commission_mode, house.usd.commission_value = "per_lot", Decimal(7)
    house.usd.markup_ask_points = Decimal(5)
    house.usd.save()
    buy(house.anna, "EURUSD", "1.00")
    booked = {
        name: sum((line.amount for line in LedgerLine.objects.filter(ledger=name)), Decimal(0))
        for name in ("bbook", "markup", "commission", "swap")
    }

    shown = ask()["house"]

    (row,) = shown["currencies"]
    assert row["currency"] == "USD"
    assert {name: Decimal(row[name]) for name in booked} == booked
    assert booked["commission"] == Decimal(7)
    assert Decimal(row["total"]) == sum(booked.values()) == Decimal(shown["total"])
    assert Decimal(shown["hours"][-1]["commission"]) == Decimal(7)


def test_deposits_are_no_profit(house: House, ask: Ask) -> None:
    assert ask()["house"]["currencies"] == []


def test_prices_move_with_the_board_and_say_when_they_are_simulated(house: House, ask: Ask) -> None:
    now = clock.now()
    FeedStatus.objects.create(
        symbol=house.eurusd, provider="simulated", simulated=True, accepted=7, started_at=now, updated_at=now
    )
    board().apply([board().latest["EURUSD"]], simulated=frozenset({"EURUSD"}))
    first = ask()
    quote("EURUSD", "1.20000", "1.20020")
    second = ask()

    prices = [{row["symbol"]: row for row in shown["quotes"]}["EURUSD"] for shown in (first, second)]
    assert [(row["bid"], row["ask"], row["spread"]) for row in prices] == [
        ("1.10000", "1.10010", "10"),
        ("1.20000", "1.20020", "20"),
    ]
    assert prices[0]["simulated"] is True
    assert prices[0]["accepted"] == 7
    assert first["simulated"] is True
    assert prices[0]["age_ms"] >= 0


def test_a_symbol_without_a_quote_is_shown_as_such(house: House, ask: Ask) -> None:
    board().clear()

    assert [(row["symbol"], row["bid"], row["age_ms"]) for row in ask()["quotes"]] == [
        ("EURUSD", None, None),
        ("USDJPY", None, None),
    ]


def test_the_lease_tells_whether_the_engine_leads(house: House, ask: Ask) -> None:
    now = clock.now()
    EngineLease.objects.create(name="old", holder="a:1", fence=1, expires_at=now - timedelta(seconds=60))
    EngineLease.objects.create(name="now", holder="b:2", fence=2, expires_at=now + timedelta(seconds=60))

    shown = {row["name"]: row["expires_in_s"] > 0 for row in ask()["leases"]}

    assert shown == {"old": False, "now": True}


def test_the_latest_orders_come_first(house: House, ask: Ask) -> None:
    first = buy(house.anna, "EURUSD", "0.10").order
    second = buy(house.bruno, "USDJPY", "9999.00").order

    shown = ask()["orders"]

    assert [row["id"] for row in shown] == [second.id, first.id]
    assert (shown[0]["status"], shown[0]["reason"]) == ("rejected", "invalid_volume")
    assert (shown[1]["login"], shown[1]["price"], shown[1]["volume"]) == (house.anna.login, "1.10010", "0.1")


def test_a_dealer_sees_the_figures_of_their_groups(house: House) -> None:
    buy(house.anna, "EURUSD", "0.30")
    buy(house.bruno, "EURUSD", "0.10")
    dealer = staff("dealer@example.com", groups=(house.eur,))

    shown = signed_in(dealer).get(reverse("admin:live")).json()

    assert shown["accounts"]["total"] == 1
    assert [(row["buy"], row["positions"]) for row in shown["exposure"]] == [("0.1", 1)]
    assert [row["login"] for row in shown["orders"]] == [house.bruno.login]


def test_without_the_right_a_figure_is_left_out(house: House) -> None:
    nobody = staff("nobody@example.com", role="", groups=(house.usd,))

    shown = signed_in(nobody).get(reverse("admin:live")).json()

    assert [shown[name] for name in ("accounts", "exposure", "house", "orders")] == [None] * 4


def test_asking_again_within_the_second_asks_the_database_almost_nothing(
    house: House, admin_client: Client
) -> None:
    fill(house, 200)
    url = reverse("admin:live")
    admin_client.get(url)

    with CaptureQueriesContext(connection) as asked:
        admin_client.get(url)

    assert len(asked) <= 6  # session, user, terms version, and what is kept for half a second


def test_the_figures_need_few_statements(house: House, admin_client: Client) -> None:
    fill(house, 200)
    admin_client.get(reverse("admin:live"))
    selectors.kept.forget()

    with CaptureQueriesContext(connection) as asked:
        admin_client.get(reverse("admin:live"))

    assert len(asked) <= 25


def test_what_the_crm_sync_gave_up_waits_for_somebody(house: House, ask: Ask, admin_client: Client) -> None:
    assert (ask()["waiting"]["letters"], ask()["waiting"]["connections"]) == (0, 0)
    row = crm.make_connection(status="revoked")
    crm.make_connection(provider="zoho", open_until=clock.now() + timedelta(minutes=1))
    crm.make_connection(provider="salesforce", fault_code="oauth_invalid_client")
    for client, status in ((house.anna.client, "open"), (house.bruno.client, "open"), (None, "dropped")):
        link = None
        if client is not None:
            claims.add(row, [(client.pk, None, clock.now())])
            link = Link.objects.get(client=client)
        DeadLetter.objects.create(
            connection=row, link=link, direction="push", status=status, error_code="x", created_at=clock.now()
        )

    assert (ask()["waiting"]["letters"], ask()["waiting"]["connections"]) == (2, 3)
    page = admin_client.get(reverse("admin:index"))
    queues = {one["name"]: one["url"] for one in page.context["dashboard_queues"]}
    assert queues["letters"] == reverse("admin:crm_deadletter_changelist") + "?status__exact=open"
    assert queues["connections"] == reverse("admin:crm_connection_changelist")
    assert attention.letters_waiting(frozenset({house.usd.pk})) == 1  # of Anna alone


def test_who_may_not_see_the_crm_has_no_tile_of_it(house: House) -> None:
    dealer = signed_in(staff("dealer@example.com", groups=(house.usd,)))

    shown = dealer.get(reverse("admin:live")).json()["waiting"]

    assert (shown["letters"], shown["connections"]) == (None, None)
    queues = dealer.get(reverse("admin:index")).context["dashboard_queues"]
    assert not {"letters", "connections"} & {one["name"] for one in queues}
