"""No filter is left out silently: what cannot be read shows nothing, tells why, and keeps the others."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import FieldListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.messages.storage import default_storage
from django.core.exceptions import EmptyResultSet, SuspiciousOperation
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils.html import escape

from apps.accounts.models import User
from apps.trading.models import Order
from rtx.kernel.admin import RtxModelAdmin
from tests.factories.house import House, fill, staff
from tests.factories.staff import signed_in
from tests.integration.accounts.test_client_pages import allow

ACCOUNTS = reverse("admin:accounts_tradingaccount_changelist")
ORDERS = reverse("admin:trading_order_changelist")
TOLD = "The list cannot be filtered like that, so it has no rows. "
UNKNOWN = "zzzz"


def asking(user: User, query: dict[str, str]) -> Any:
    """Return the request of a list."""
    request: Any = RequestFactory().get("/", query)
    request.user, request.session = user, {}
    request._messages = default_storage(request)
    return request


def parameters(page: Any, request: Any) -> Iterator[str]:
    """Yield what the filters of a page read from its address, chosen or not."""
    for entry in page.get_list_filter(request):
        if not isinstance(entry, str | tuple):
            yield entry.parameter_name
            continue
        path, kind = entry if isinstance(entry, tuple) else (entry, FieldListFilter.create)
        field = get_fields_from_path(page.model, path)[-1]
        yield from kind(field, request, {}, page.model, page, path).expected_parameters()


def statement(page: Any, user: User, query: dict[str, str]) -> str:
    """Return what is read for a list; nothing where it is refused or known to be empty."""
    request = asking(user, query)
    try:
        return str(page.get_changelist_instance(request).get_queryset(request).query)
    except (SuspiciousOperation, EmptyResultSet):
        return ""


def test_every_filter_and_search_of_every_list_limits_it(operator: User) -> None:
    pages = [page for page in admin.site._registry.values() if isinstance(page, RtxModelAdmin)]
    left_out, asked = [], 0
    for page in pages:
        whole = statement(page, operator, {})
        request = asking(operator, {})
        names = [*parameters(page, request), *(["q"] if page.get_search_fields(request) else [])]
        asked += len(names)
        left_out += [
            (page.opts.label, name) for name in names if statement(page, operator, {name: UNKNOWN}) == whole
        ]

    assert asked > 300
    assert left_out == []


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"opened_at_from_0": "2026-02-30"}, "“2026-02-30” is not a day and a time."),
        ({"group__id__exact": "usd"}, "Field 'id' expected a number but got 'usd'."),
        ({"status__exact": "a\0b"}, "A text with NUL matches nothing."),
    ],
)
def test_the_other_filters_and_the_search_stay(
    admin_client: Client, house: House, query: dict[str, str], told: str
) -> None:
    asked = {"q": str(house.anna.login), "position_mode__exact": "hedging", **query}

    answer = admin_client.get(ACCOUNTS, asked)

    assert [str(one) for one in answer.context["messages"]] == [TOLD + told]
    assert list(answer.context["cl"].result_list) == []
    assert f'<p class="mb-6 text-center"> {escape(told)} </p>' in " ".join(answer.content.decode().split())
    assert answer.context["cl"].params == asked
    assert answer.context["cl"].query == str(house.anna.login)


def test_a_choice_that_there_is_not_is_told(admin_client: Client, house: House) -> None:
    fill(house, 3)

    answer = admin_client.get(ORDERS, {"state": "dreaming"})
    every = admin_client.get(ORDERS, {"state": ""})

    assert [str(one) for one in answer.context["messages"]] == [f"{TOLD}“dreaming” is no choice of state."]
    assert list(answer.context["cl"].result_list) == []
    assert every.context["cl"].result_count == 3


def test_a_group_out_of_reach_shows_nothing_even_where_there_is_no_choice(house: House) -> None:
    dealer = signed_in(
        allow(staff("dealer@example.com", groups=(house.usd,)), "view_tradingaccount")
    )  # of one group: there is nothing to choose

    def shown(**query: object) -> list[int]:
        found = dealer.get(ACCOUNTS, query).context["cl"].result_list
        return [account.login for account in found]

    assert shown() == [house.anna.login]
    assert shown(group__id__exact=house.usd.pk) == [house.anna.login]
    assert shown(group__id__exact=house.eur.pk) == []
    assert shown(group__id__exact="usd") == []


def test_what_staff_of_long_ago_did_can_be_asked(admin_client: Client, house: House) -> None:
    log = reverse("admin:audit_staffaction_changelist")
    trader = house.anna.client.user_id

    answer = admin_client.get(log, {"user": trader})

    assert list(answer.context["messages"]) == []
    assert list(answer.context["cl"].result_list) == []
    assert f"User {trader}" in answer.content.decode()
    assert "anna@example.com" not in answer.content.decode()  # who is no staff is not named


def test_a_page_that_is_no_longer_there_keeps_the_filters(admin_client: Client, house: House) -> None:
    fill(house, 120)

    answer = admin_client.get(ORDERS, {"side__exact": "buy", "p": "9"})
    shown = answer.context["cl"]

    assert answer.status_code == 200
    assert (shown.page_num, shown.result_count, len(shown.result_list)) == (2, 60, 10)
    assert {order.side for order in shown.result_list} == {"buy"}


def test_nothing_is_done_to_rows_that_a_misread_filter_hides(admin_client: Client, house: House) -> None:
    fill(house, 1)
    order = Order.objects.get()
    form = {"action": "cancel", "index": "0", "_selected_action": [str(order.pk)]}

    answer = admin_client.post(f"{ORDERS}?created_at_to_0=2026-02-30", form, follow=True)

    assert TOLD in answer.content.decode()
    assert Order.objects.get().updated_at == order.updated_at


def test_the_sign_of_a_number_alone_is_no_search_for_everything(operator: User) -> None:
    pages = [page for page in admin.site._registry.values() if isinstance(page, RtxModelAdmin)]
    searched = {page.opts.label: statement(page, operator, {"q": "#"}) for page in pages}

    assert [label for label, read in searched.items() if "LIKE UPPER(%)" in read] == []
