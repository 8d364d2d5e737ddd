"""What open pages ask by themselves keeps no idle session alive, on any page."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from apps.accounts.models import StaffSession
from rtx.kernel import clock
from rtx.kernel.recent_login import passive
from tests.factories.house import make_house
from tests.factories.staff import signed_in
from tests.integration.access.test_sessions import age

ASKED_BY_PAGES = {
    "live",
    "live_ticket",
    "audit_integrity_live",
    "risk_exposure_live",
    "groups_symbol_terms_live",
    "groups_tradinggroup_terms_live",
    "accounts_tradingaccount_live",
    "accounts_tradingaccount_price",
    "accounts_tradingaccount_equity",
    "accounts_importrun_progress",
    "crm_connection_live",
    "crm_syncrun_progress",
}
POLLED = ("live", "price", "equity", "progress", "ticket")


def routes(resolver: URLResolver) -> Iterator[URLPattern]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from routes(entry)
        else:
            yield entry


def test_every_polled_route_of_the_admin_is_passive() -> None:
    all_of_them = [route for route in routes(get_resolver()) if route.name]
    polled = {str(route.name) for route in all_of_them if str(route.pattern).rstrip("/").endswith(POLLED)}
    marked = {str(route.name) for route in all_of_them if getattr(route.callback, "is_passive", False)}

    assert polled == ASKED_BY_PAGES
    assert marked == ASKED_BY_PAGES


@pytest.mark.django_db
def test_an_open_account_page_lets_its_session_grow_idle(boss: Any) -> None:
    account = make_house().anna
    http = signed_in(boss)
    age(seen_at=1000)

    for name in ("live", "price", "equity"):
        url = reverse(f"admin:accounts_tradingaccount_{name}", args=[account.pk])
        assert http.get(url).status_code == 200

    assert clock.now() - StaffSession.objects.get().seen_at > timedelta(seconds=990)


def test_the_mark_outlives_the_wrapping_of_a_page() -> None:
    class Page:
        @passive
        def asked(self, request: Any) -> None: ...

    assert admin.site.admin_view(Page().asked).is_passive  # type: ignore[attr-defined]
