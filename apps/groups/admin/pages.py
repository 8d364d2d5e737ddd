"""
Pages of effective terms: what every symbol costs in a group, what every group makes of a symbol, beside the
live raw and client price; and the form that changes several at once. Rows are those within reach.
"""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps.groups.forms import BulkTermsForm
from apps.groups.models import TradingGroup
from apps.groups.selectors import EffectiveTerms, effective_terms, live_prices
from apps.groups.services import bulk_terms
from apps.market.admin.terms import confirmation, confirmed_by, tell
from apps.market.models import Symbol
from apps.market.services import terms_changes
from apps.market.services.board import board
from apps.market.services.terms_changes import TermsNeedConfirmation
from rtx.kernel import recent_login
from rtx.kernel.actor import Actor
from rtx.kernel.admin import RtxModelAdmin, reachable_groups
from rtx.kernel.errors import RtxError
from rtx.kernel.recent_login import passive

VIEW, CHANGE, ADD = "groups.view_tradinggroup", "groups.change_groupsymbol", "groups.add_groupsymbol"
LIVE_EVERY_MS = 1000
PAIRS_MAX = 500
COLUMNS = (
    ("Markup", (("markup_bid_points", "bid"), ("markup_ask_points", "ask"))),
    (
        "Commission",
        (("commission_mode", ""), ("commission_value", ""), ("commission_minimum", "at least")),
    ),
    ("Swap", (("swap_mode", ""), ("swap_long", "long"), ("swap_short", "short"))),
    ("Margin", (("leverage_max", "1:"), ("margin_schedule", ""))),
    ("Lots", (("volume_min", ""), ("volume_max", "to"))),
    ("Distances", (("stop_level_points", "stops"), ("freeze_level_points", "freeze"))),
    ("Trading", (("trade_mode", ""),)),
)


def urls(page: RtxModelAdmin) -> list[URLPattern]:
    """Return the routes of these pages, below those of trading groups."""
    pages = Pages(page)
    view = page.admin_site.admin_view
    return [
        path("bulk-terms/", view(pages.bulk), name="groups_bulk_terms"),
        path("symbol/<int:symbol_id>/terms/", view(pages.symbol), name="groups_symbol_terms"),
        path("symbol/<int:symbol_id>/terms/live/", view(pages.symbol_live), name="groups_symbol_terms_live"),
        path("<int:group_id>/terms/", view(pages.group), name="groups_tradinggroup_terms"),
        path("<int:group_id>/terms/live/", view(pages.group_live), name="groups_tradinggroup_terms_live"),
    ]


class Pages:
    """The views; the admin page of trading groups says which groups are within reach."""

    def __init__(self, page: RtxModelAdmin) -> None:
        self._page = page

    def group(self, request: HttpRequest, group_id: int) -> HttpResponse:
        """Show what results for every symbol of a group."""
        group = self._group(request, group_id)
        return self._terms(
            request,
            title=f"Effective terms of {group}",
            rows=effective_terms(group_ids=[group.pk]),
            live=reverse("admin:groups_tradinggroup_terms_live", args=[group.pk]),
            back=reverse("admin:groups_tradinggroup_change", args=[group.pk]),
            group=group,
        )

    @passive
    def group_live(self, request: HttpRequest, group_id: int) -> HttpResponse:
        """Answer with the present prices of a group."""
        return _live([self._group(request, group_id).pk])

    def symbol(self, request: HttpRequest, symbol_id: int) -> HttpResponse:
        """Show what every group within reach makes of a symbol."""
        symbol = self._symbol(request, symbol_id)
        return self._terms(
            request,
            title=f"Terms of {symbol} by group",
            rows=effective_terms(group_ids=self._reach(request), symbol=symbol.name),
            live=reverse("admin:groups_symbol_terms_live", args=[symbol.pk]),
            back=reverse("admin:market_symbol_change", args=[symbol.pk]),
            symbol=symbol,
        )

    @passive
    def symbol_live(self, request: HttpRequest, symbol_id: int) -> HttpResponse:
        """Answer with the present prices of a symbol in every group within reach."""
        return _live(self._reach(request), only=self._symbol(request, symbol_id).name)

    def bulk(self, request: HttpRequest) -> HttpResponse:
        """Change several symbols' terms: the form, what would change, and once that was seen, the change."""
        if not (request.user.has_perm(CHANGE) and request.user.has_perm(ADD)):
            raise PermissionDenied
        if "save" in request.POST:
            recent_login.require(request)
        sent = request.POST if request.method == "POST" else request.GET
        pairs = _pairs(sent.getlist("pair"))
        form = BulkTermsForm(request.POST or None)
        plans: list[bulk_terms.Planned] = []
        reach = reachable_groups(request.user)
        if request.method == "POST" and form.is_valid():
            try:
                plans = bulk_terms.planned(pairs, form.edits(), reach=reach)
                if "save" in request.POST:
                    return _save(request, plans, form)
            except TermsNeedConfirmation as error:
                return confirmation(request, error.impact, title="Accounts would be called or closed")
            except RtxError as error:
                form.add_error(None, error.detail)
        return self._shown(
            request,
            "bulk",
            title="Change several symbols at once",
            form=form,
            pairs=[f"{group}-{symbol}" for group, symbol in pairs],
            plans=plans if form.is_bound and form.is_valid() else [],
            back_url=reverse("admin:groups_groupsymbol_changelist"),
        )

    def _terms(
        self, request: HttpRequest, *, rows: list[EffectiveTerms], live: str, back: str, **context: Any
    ) -> HttpResponse:
        may_edit = request.user.has_perm(CHANGE) and request.user.has_perm(ADD)
        return self._shown(
            request,
            "effective",
            rows=[{"terms": row, "cells": _cells(row), "edit": _edit_url(row)} for row in rows],
            columns=[title for title, _ in COLUMNS],
            may_edit=may_edit,
            data={"url": live, "every_ms": LIVE_EVERY_MS},
            back_url=back,
            **context,
        )

    def _shown(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        shown = {**admin.site.each_context(request), "opts": self._page.opts, **context}
        answer = TemplateResponse(request, f"admin/terms/{template}.html", shown)
        answer["Cache-Control"] = "no-store"
        return answer

    def _group(self, request: HttpRequest, group_id: int) -> TradingGroup:
        group: TradingGroup | None = self._page.get_object(request, str(group_id))
        if group is None:
            raise Http404("no such group within reach")
        if not request.user.has_perm(VIEW):
            raise PermissionDenied
        return group

    def _symbol(self, request: HttpRequest, symbol_id: int) -> Symbol:
        if not (request.user.has_perm(VIEW) and request.user.has_perm("market.view_symbol")):
            raise PermissionDenied
        symbol = Symbol.objects.filter(pk=symbol_id).first()
        if symbol is None:
            raise Http404("no such symbol")
        return symbol

    def _reach(self, request: HttpRequest) -> list[int]:
        return list(self._page.get_queryset(request).order_by("name").values_list("pk", flat=True))


def _live(group_ids: list[int], *, only: str | None = None) -> HttpResponse:
    quotes = dict(board().latest)
    if only is not None:
        quotes = {name: quote for name, quote in quotes.items() if name == only}
    answer = JsonResponse({"prices": live_prices(group_ids=group_ids, quotes=quotes)})
    answer["Cache-Control"] = "no-store"
    return answer


def _cells(row: EffectiveTerms) -> list[list[dict[str, Any]]]:
    """Return for each column its values with what each of them would inherit."""
    return [
        [
            {"before": before, "value": row.values[name], "name": name.replace("_", " ")}
            for name, before in names
            if row.values[name].is_own or _says_something(row, name)
        ]
        for _, names in COLUMNS
    ]


def _says_something(row: EffectiveTerms, name: str) -> bool:
    """Leave out what an inherited "none" makes meaningless."""
    kind, _, _ = name.partition("_")
    mode = row.values.get(f"{kind}_mode")
    is_detail = mode is not None and not name.endswith("_mode")
    return bool(row.values[name].shown) and not (is_detail and mode is not None and mode.shown == "none")


def _edit_url(row: EffectiveTerms) -> str:
    if row.row_id is not None:
        return reverse("admin:groups_groupsymbol_change", args=[row.row_id])
    return f"{reverse('admin:groups_groupsymbol_add')}?group={row.group_id}&symbol={row.symbol_id}"


def _pairs(given: list[str]) -> list[tuple[int, int]]:
    found = []
    for text in given[:PAIRS_MAX]:
        group, _, symbol = text.partition("-")
        if all(part.isascii() and part.isdecimal() and len(part) < 19 for part in (group, symbol)):
            found.append((int(group), int(symbol)))
    return found


def _save(request: HttpRequest, plans: list[bulk_terms.Planned], form: BulkTermsForm) -> HttpResponse:
    actor = Actor.of(request, reason=form.cleaned_data["change_reason"])
    with transaction.atomic():
        change = terms_changes.begin(
            actor=actor, reach=reachable_groups(request.user), confirmed=confirmed_by(request)
        )
        count = bulk_terms.save(change, plans)
        terms_changes.finish(change)
    messages.success(request, f"Terms of {count} symbols were changed.")
    tell(request, change)
    groups = {plan.row.group_id for plan in plans}
    if len(groups) == 1:
        return HttpResponseRedirect(reverse("admin:groups_tradinggroup_terms", args=[groups.pop()]))
    return HttpResponseRedirect(reverse("admin:groups_groupsymbol_changelist"))
