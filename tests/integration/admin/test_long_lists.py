"""Lists of many rows: what is read for them, and along which index. Times are measured elsewhere."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import AccountEvent
from apps.trading.models import Deal, Order
from rtx.kernel import admin_lists
from rtx.kernel.admin import RtxModelAdmin
from rtx.kernel.admin_filters import names_of
from tests.factories.house import House, fill, make_house

ORDERS = reverse("admin:trading_order_changelist")
JOURNAL = reverse("admin:accounts_accountevent_changelist")


@pytest.fixture
def house(db: None) -> House:
    return make_house()


def opened(
    client: Client, url: str, table: str, query: dict[str, str] | None = None
) -> tuple[Any, list[str]]:
    """Return the list and the statements that read its table."""
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(url, query or {})
    assert answer.status_code == 200
    return answer.context["cl"], [one["sql"] for one in asked if f'FROM "{table}"' in one["sql"]]


def test_every_list_is_bounded_and_counts_no_choices() -> None:
    pages = [page for page in admin.site._registry.values() if isinstance(page, RtxModelAdmin)]
    request = RequestFactory().get("/")

    assert len(pages) > 60
    assert {page.get_changelist(request) for page in pages} == {admin_lists.BoundedChangeList}
    assert {page.show_facets for page in pages} == {admin.ShowFacets.NEVER}


def test_few_matches_are_searched_once(admin_client: Client, house: House) -> None:
    fill(house, 60)
    wanted = Order.objects.order_by("pk")[3]

    shown, read = opened(admin_client, ORDERS, "trading_order", {"q": wanted.client_order_id})

    assert [row.pk for row in shown.result_list] == [wanted.pk]
    assert shown.result_count == 1
    searched = [sql for sql in read if "client_order_id\" = '" in sql and '"id" IN' not in sql]
    assert len(searched) == 1
    assert "ORDER BY" not in searched[0]  # in no order: none may lead along rows that do not match


def test_what_a_list_knows_is_no_more_than_the_cap(
    admin_client: Client, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(house, 60)
    monkeypatch.setattr(admin_lists, "COUNT_MAX", 55)

    shown, _ = opened(admin_client, ORDERS, "trading_order", {"status__exact": "rejected", "p": "2"})
    few, _ = opened(admin_client, ORDERS, "trading_order", {"side__exact": "buy"})

    assert shown.result_count == 55
    assert shown.paginator.is_capped
    assert len(shown.result_list) == 5
    assert few.result_count == 30
    assert not few.paginator.is_capped


@pytest.mark.filterwarnings("ignore:DateTimeField .* received a naive datetime")  # by unfold: UTC
def test_a_period_is_read_along_its_time(admin_client: Client, house: House) -> None:
    fill(house, 60)
    day = Order.objects.latest("created_at").created_at
    period = {
        "created_at_from_0": f"{day - timedelta(days=1):%Y-%m-%d}",
        "created_at_from_1": "00:00:00",
        "created_at_to_0": f"{day:%Y-%m-%d}",
        "created_at_to_1": "23:59:59",
    }

    along, read = opened(admin_client, ORDERS, "trading_order", period)
    chosen, by_ticket = opened(admin_client, ORDERS, "trading_order", {**period, "o": "1"})

    assert along.result_count == 60
    assert 'ORDER BY "trading_order"."created_at" DESC, "trading_order"."id" DESC' in read[-1]
    assert chosen.result_count == 60
    assert 'ORDER BY "trading_order"."id" ASC' in by_ticket[-1]


def test_the_journal_is_filtered_by_the_types_that_there_are(admin_client: Client, house: House) -> None:
    fill(house, 10)
    there = sorted(AccountEvent.objects.order_by().values_list("type", flat=True).distinct())

    shown, read = opened(admin_client, JOURNAL, "accounts_accountevent", {"type__icontains": "REJECT"})
    none, _ = opened(admin_client, JOURNAL, "accounts_accountevent", {"type__icontains": "zzz"})

    assert names_of(AccountEvent.objects.all(), "type") == there
    assert {event.type for event in shown.result_list} == {"order_rejected"}
    assert shown.result_count == AccountEvent.objects.filter(type="order_rejected").count() >= 10
    assert not any("LIKE" in sql for sql in read)
    assert none.result_count == 0


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT 1 FROM trading_order WHERE client_order_id = 'a'", "order_client_order_id_unique"),
        ("SELECT 1 FROM accounts_accountevent WHERE type = 'a'", "event_by_type"),
    ],
)
def test_what_staff_look_for_has_an_index(db: None, statement: str, index: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert index in plan


def test_the_box_of_a_row_names_its_key(admin_client: Client, house: House) -> None:
    fill(house, 3)
    first = Order.objects.order_by("-pk")[0]
    page = admin.site._registry[Order]

    assert f'value="{first.pk}"' in page.action_checkbox(first)
    assert 'name="_selected_action"' in page.action_checkbox(first)
    assert page.action_checkbox(Deal(pk='"><b>')).count("<b>") == 0
