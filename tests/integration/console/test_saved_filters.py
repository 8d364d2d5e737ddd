"""Filters that staff keep: their own, shared with a role, without searches, for lists that they may open."""

from typing import Any

import pytest
from django.urls import reverse

from apps.console.models import SavedFilter
from tests.factories.house import House, staff
from tests.factories.staff import signed_in

pytestmark = pytest.mark.django_db

ORDERS = "trading_order"
QUERY = "o=-1&status__exact=rejected&q=anna%40example.com&p=3"


def keep(http: Any, **changes: str) -> Any:
    fields = {"page": ORDERS, "name": "Refused", "query": QUERY} | changes
    return http.post(reverse("admin:saved_filter_keep"), fields)


@pytest.fixture
def dealer(house: House) -> Any:
    return signed_in(staff("dealer@example.com", groups=(house.usd,)))


def chips(http: Any) -> list[str]:
    page = http.get(reverse(f"admin:{ORDERS}_changelist"))
    return [row["name"] for row in page.context["saved_filters"]["rows"]]


def test_a_filter_is_kept_without_search_and_page(dealer: Any) -> None:
    answer = keep(dealer)

    row = SavedFilter.objects.get()
    assert row.query == "o=-1&status__exact=rejected"
    assert answer["Location"] == reverse(f"admin:{ORDERS}_changelist") + "?" + row.query
    assert chips(dealer) == ["Refused"]


def test_a_filter_is_ones_own(dealer: Any, admin_client: Any, house: House) -> None:
    keep(admin_client, name="Mine")

    row = SavedFilter.objects.get()
    drop = dealer.post(reverse("admin:saved_filter_drop", args=[row.pk]), {"page": ORDERS})
    assert chips(dealer) == []
    assert (drop.status_code, SavedFilter.objects.count()) == (404, 1)


def test_a_shared_filter_is_seen_by_the_role_alone(dealer: Any, admin_client: Any, house: House) -> None:
    keep(admin_client, name="For dealers", shared_with="dealer")
    auditor = signed_in(staff("auditor@example.com", role="auditor", groups=(house.usd,)))

    assert (chips(dealer), chips(auditor)) == (["For dealers"], [])


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"shared_with": "dealer"}, 403),
        ({"shared_with": "trader"}, 403),
        ({"page": "django_celery_beat_periodictask"}, 403),
        ({"page": "sessions_session"}, 404),
        ({"page": "nonsense"}, 404),
        ({"name": " "}, 302),
        ({"query": "q=anna"}, 302),
        ({"name": "x" * 41}, 302),
    ],
)
def test_what_is_not_kept(changes: dict[str, str], status: int, dealer: Any) -> None:
    assert (keep(dealer, **changes).status_code, SavedFilter.objects.count()) == (status, 0)


def test_a_filter_is_dropped_by_its_owner(dealer: Any) -> None:
    keep(dealer)

    dealer.post(reverse("admin:saved_filter_drop", args=[SavedFilter.objects.get().pk]), {"page": ORDERS})

    assert not SavedFilter.objects.exists()
