"""
Addresses that an open account page asks: present figures each second, and the equity curve once. Reads only;
asking keeps no idle session alive.
"""

import threading
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import URLPattern, path

from apps.accounts.models import TradingAccount
from apps.trading.admin import account_page
from apps.trading.domain.replaying import Divergence
from apps.trading.domain.statements import Difference, Period
from apps.trading.selectors.statements import statement
from rtx.kernel import clock
from rtx.kernel.admin import OperatedModelAdmin
from rtx.kernel.errors import RtxError
from rtx.kernel.money import booked, text
from rtx.kernel.recent_login import passive

DAYS = (1, 7, 30, 90, 365)
# A curve replays the account's whole journal: one at a time in a process, kept the longer the more it takes.
KEPT_S = 60
EVENTS_PER_S_KEPT = 200
EVENTS_MAX = 200_000
WAIT_MAX_S = 2.0
BUSY = "Other charts are being drawn; try again in a moment."
TOO_LONG = "This account's journal is too long for a chart here. Its statements tell the same."
NO_STORE = {"Cache-Control": "no-store"}
_turn = threading.BoundedSemaphore()


class AccountWatch(OperatedModelAdmin):
    """What the page of an account asks while it is open."""

    def get_urls(self) -> list[URLPattern]:
        """Put the two addresses in front of the page's own."""
        view = self.admin_site.admin_view
        return [
            path("<int:account_id>/live/", view(self.live), name="accounts_tradingaccount_live"),
            path("<int:account_id>/equity/", view(self.equity), name="accounts_tradingaccount_equity"),
            *super().get_urls(),
        ]

    @passive
    def live(self, request: HttpRequest, account_id: int) -> JsonResponse:
        """Tell the figures and the open positions at the present prices."""
        account = self._seen(request, account_id)
        shown = account_page.present(account)
        if not request.user.has_perm("trading.view_position"):
            del shown["positions"]
        return JsonResponse(shown, headers=NO_STORE)

    @passive
    def equity(self, request: HttpRequest, account_id: int) -> JsonResponse:
        """Tell balance and equity of the last days: hourly up to a week, daily beyond."""
        account = self._seen(request, account_id)
        if not request.user.has_perm("trading.view_deal"):
            raise PermissionDenied
        given = request.GET.get("days", "7")
        if given not in {str(days) for days in DAYS}:
            raise Http404("there is no such period")
        key = f"equity:{account.pk}:{given}"
        told: dict[str, Any] | None = cache.get(key)
        if told is None:
            if not _turn.acquire(timeout=WAIT_MAX_S):
                return JsonResponse({"detail": BUSY}, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=NO_STORE)
            try:
                told = cache.get(key) or _curve(account, days=int(given))
            finally:
                _turn.release()
            cache.set(key, told, max(KEPT_S, account.state.seq // EVENTS_PER_S_KEPT))
        return JsonResponse(told, headers=NO_STORE)

    def _seen(self, request: HttpRequest, account_id: int) -> TradingAccount:
        account: TradingAccount | None = self.get_object(request, str(account_id))
        if account is None:
            raise Http404("there is no such account")
        if not self.has_view_permission(request, account):
            raise PermissionDenied
        return account


def _curve(account: TradingAccount, *, days: int) -> dict[str, Any]:
    if account.state.seq > EVENTS_MAX:
        return {"currency": account.currency, "points": [], "note": TOO_LONG}
    now = clock.now()
    start = max(now - timedelta(days=days), account.opened_at)
    try:
        found = statement(account, period=Period(start, now), now=now)
    except (RtxError, Divergence, Difference):
        return {"currency": account.currency, "points": []}
    points = [
        [
            int(point.at.timestamp() * 1000),
            text(booked(point.balance, account.currency)),
            None if point.equity is None else text(booked(point.equity, account.currency)),
        ]
        for point in found.curve
    ]
    return {"currency": account.currency, "points": points}
