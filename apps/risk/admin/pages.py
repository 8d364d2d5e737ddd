"""
Pages of risk that are no table: overview, live exposure, what-if, value at risk, heat map of correlations,
open markets.

Each needs a right; figures of accounts are those within reach. A what-if changes nothing; the only thing
these pages write is an estimate of value at risk, asked for by hand.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.views.decorators.http import require_GET, require_http_methods

from apps.audit.services import actions
from apps.risk.admin.page_forms import ValueAtRiskForm, WhatIfForm
from apps.risk.models import ValueAtRisk
from apps.risk.selectors import overview
from apps.risk.selectors.correlations import cells
from apps.risk.selectors.exposure import exposure_view
from apps.risk.selectors.market_open import market_open
from apps.risk.selectors.record_views import value_at_risk_view
from apps.risk.selectors.shocks import shock_of
from apps.risk.selectors.what_if import what_if
from apps.risk.services import value_at_risk
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.admin import reachable_groups
from rtx.kernel.errors import RtxError
from rtx.kernel.recent_login import passive

View = Callable[[HttpRequest], HttpResponse]
LIVE_EVERY_MS = 1000
HISTORY_SHOWN = 120
SYMBOLS_SHOWN_MAX = 60
IN_THE_WAY = {
    "session": "outside its session",
    "holiday": "holiday",
    "trade_disabled": "trading disabled",
    "close_only": "close only",
    "no_price": "no price",
    "stale_price": "old price",
    "kill_switch": "kill switch",
    "circuit_breaker": "circuit breaker",
    "trading_hours": "trading hours",
}


def needs(right: str) -> Callable[[View], View]:
    """Open a page only to those with a right."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest) -> HttpResponse:
            if not request.user.has_perm(right):
                raise PermissionDenied
            return view(request)

        return checked

    return decorate


def _page(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
    shown = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, f"admin/risk/{template}.html", shown)


def _fresh(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "no-store"
    return answer


@require_GET
@needs("risk.view_accountrisk")
def overview_page(request: HttpRequest) -> HttpResponse:
    """Show the key figures of risk, each a link to its page."""
    user: Any = request.user
    cards = overview.cards(reach=reachable_groups(user), may=user.has_perm)
    return _page(request, "overview", "Risk", cards=[{**card, "url": _address(card)} for card in cards])


def _address(card: dict[str, Any]) -> str:
    try:
        return reverse(card["page"])
    except NoReverseMatch:
        return ""


@require_GET
@needs("trading.view_position")
def exposure_page(request: HttpRequest) -> HttpResponse:
    """Show what clients hold, refreshed every second."""
    data = {
        "view": exposure_view(reachable_groups(request.user)),
        "url": reverse("admin:risk_exposure_live"),
        "every_ms": LIVE_EVERY_MS,
    }
    return _page(request, "exposure", "Exposure", data=data)


@passive
@require_GET
@needs("trading.view_position")
def exposure_live(request: HttpRequest) -> HttpResponse:
    """Answer with the present exposure; polled by its page."""
    return _fresh(JsonResponse(exposure_view(reachable_groups(request.user))))


@require_http_methods(["GET", "POST"])
@needs("risk.view_accountrisk")
def what_if_page(request: HttpRequest) -> HttpResponse:
    """Ask what would happen, and show it. Changes nothing."""
    reach = reachable_groups(request.user)
    form = WhatIfForm(request.POST or None, reach=reach)
    result = None
    if request.method == "POST" and form.is_valid():
        try:
            result = what_if(shock_of(form.asked(), reach=reach), reach=reach)
        except RtxError as error:
            form.add_error(None, error.detail)
    return _fresh(_page(request, "what_if", "What-if", form=form, result=result))


@require_http_methods(["GET", "POST"])
@needs("risk.view_valueatrisk")
def value_at_risk_page(request: HttpRequest) -> HttpResponse:
    """Show the estimates over time, and take one now."""
    user: Any = request.user
    may_run = user.has_perm("risk.add_valueatrisk")
    form = ValueAtRiskForm(request.POST or None)
    if request.method == "POST":
        if not may_run:
            raise PermissionDenied
        if form.is_valid():
            row = _estimate(form, request)
            amount = value_at_risk_view(row)["amount"]
            told = f"{amount} {row.currency}" if amount else "everything was left out"
            messages.success(request, f"{row.get_method_display()}: {told}.")
            return HttpResponseRedirect(reverse("admin:risk_value_at_risk"))
    rows = [value_at_risk_view(row) for row in ValueAtRisk.objects.order_by("-id")[:HISTORY_SHOWN]]
    latest = rows[0] if rows else None
    exposures = sorted(
        (latest["exposures"].items() if latest else ()), key=lambda one: abs(Decimal(one[1])), reverse=True
    )
    return _page(
        request,
        "value_at_risk",
        "Value at risk",
        form=form if may_run else None,
        rows=rows,
        latest=latest,
        exposures=exposures,
    )


def _estimate(form: ValueAtRiskForm, request: HttpRequest) -> ValueAtRisk:
    with transaction.atomic():
        row = value_at_risk.run(**form.cleaned_data, now=clock.now())
        actions.record(actor=Actor.of(request), operation="risk.estimate_value_at_risk", target=row)
    return row


@require_GET
@needs("risk.view_correlation")
def heat_map_page(request: HttpRequest) -> HttpResponse:
    """Show how symbols move together, each pair a link to where it is overridden."""
    known = cells()
    names = sorted({name for pair in known for name in pair})
    shown = names[:SYMBOLS_SHOWN_MAX]
    rows = [
        {"name": first, "cells": [_cell(known.get((first, second)), first == second) for second in shown]}
        for first in shown
    ]
    return _page(
        request,
        "heat_map",
        "Correlations",
        names=shown,
        rows=rows,
        hidden=len(names) - len(shown),
        overrides=sum(1 for pair, cell in known.items() if cell.override is not None and pair[0] < pair[1]),
        pairs=len(known) // 2,
    )


def _cell(cell: Any, is_self: bool) -> dict[str, Any]:
    if is_self or cell is None or cell.value is None:
        url = None if cell is None else reverse("admin:risk_correlation_change", args=[cell.pk])
        return {"text": "1" if is_self else "–", "heat": "self" if is_self else "none", "url": url}
    step = int((abs(cell.value) * 10).to_integral_value())
    told = f"{cell.observations} returns of {cell.interval}" if cell.interval else "no estimate"
    if cell.override is not None:
        told = f"override: {cell.reason}; {told}"
    return {
        "text": f"{cell.value:z.2f}",
        "heat": f"{'pos' if cell.value >= 0 else 'neg'}-{step}",
        "url": reverse("admin:risk_correlation_change", args=[cell.pk]),
        "told": told,
        "is_override": cell.override is not None,
    }


@require_GET
@needs("market.view_symbol")
def market_open_page(request: HttpRequest) -> HttpResponse:
    """Show which symbols trade now, until when, and what is in the way of the others."""
    now = clock.now()
    rows = [{**row, "why": [IN_THE_WAY[reason] for reason in row["reasons"]]} for row in market_open(now=now)]
    return _fresh(
        _page(
            request,
            "market_open",
            "Open markets",
            rows=rows,
            at=now,
            tradable=sum(row["tradable"] for row in rows),
            in_session=sum(row["session_open"] for row in rows),
            held_up=sum(row["session_open"] and not row["tradable"] for row in rows),
        )
    )


def urls() -> list[URLPattern]:
    """Return the routes of these pages below the admin's own address."""
    view = admin.site.admin_view
    return [
        path("risk/overview/", view(overview_page), name="risk_overview"),
        path("risk/exposure/", view(exposure_page), name="risk_exposure"),
        path("risk/exposure/live/", view(exposure_live), name="risk_exposure_live"),
        path("risk/whatif/", view(what_if_page), name="risk_what_if"),
        path("risk/var/", view(value_at_risk_page), name="risk_value_at_risk"),
        path("risk/heatmap/", view(heat_map_page), name="risk_heat_map"),
        path("risk/marketopen/", view(market_open_page), name="risk_market_open"),
    ]
