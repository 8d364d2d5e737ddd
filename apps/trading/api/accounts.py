"""Trader REST: accounts, what they may trade and at which prices, deals and the journal."""

from dataclasses import replace

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.selectors.accounts import accounts_of, groups_of, owned
from apps.trading.api.outputs import AccountDealOut, AccountOut, EventOut, QuoteOut, SymbolOut
from apps.trading.api.queries import (
    ACCOUNT,
    PAGES,
    PERIOD,
    SYMBOL_PARAMETER,
    caller_id,
    chosen,
    integer,
    rows_of,
)
from apps.trading.selectors import books, history, offers
from rtx.kernel import openapi
from rtx.kernel.errors import NotFound
from rtx.kernel.rest import CursorPagination

EVENTS_PER_PAGE = 500
NO_ACCOUNT = openapi.error(404, "account_not_found")
BAD_QUERY = openapi.error(400, "invalid")
BAD_CHOICE = openapi.error(400, "invalid", "no_account")
POSITION = OpenApiParameter("position_id", int, description="Only deals of this position.")


def _group(request: Request) -> int:
    """Return the present group of the chosen account."""
    account = chosen(request)
    return groups_of([account.id])[account.id]


class AccountsView(APIView):
    """The caller's trading accounts."""

    @extend_schema(operation_id="list_accounts", responses=openapi.responses(200, openapi.page(AccountOut)))
    def get(self, request: Request) -> Response:
        """List the caller's accounts, valued at the present prices."""
        found = accounts_of(user_id=caller_id(request))
        return Response({"results": books.account_views([account.id for account in found]), "next": None})


class AccountView(APIView):
    """One trading account of the caller."""

    @extend_schema(
        operation_id="get_account", responses=openapi.responses(200, openapi.of(AccountOut), NO_ACCOUNT)
    )
    def get(self, request: Request, login: int) -> Response:
        """Return one account, valued at the present prices."""
        account = owned(user_id=caller_id(request), login=login)
        return Response(books.account_views([account.id])[0])


class SymbolsView(APIView):
    """What the caller's group trades."""

    @extend_schema(
        operation_id="list_symbols",
        parameters=[ACCOUNT],
        responses=openapi.responses(200, openapi.page(SymbolOut), BAD_CHOICE, NO_ACCOUNT),
    )
    def get(self, request: Request) -> Response:
        """List the symbols of the account's group (the caller's first account when none is named)."""
        return Response({"results": offers.symbols(group_id=_group(request)), "next": None})


class SymbolView(APIView):
    """One symbol of the caller's group."""

    @extend_schema(
        operation_id="get_symbol",
        parameters=[ACCOUNT],
        responses=openapi.responses(
            200,
            openapi.of(SymbolOut),
            BAD_CHOICE,
            openapi.error(404, "symbol_not_found", "account_not_found"),
        ),
    )
    def get(self, request: Request, symbol: str) -> Response:
        """Return one symbol with the terms of the account's group."""
        offered = offers.symbols(group_id=_group(request))
        found = next((shown for shown in offered if shown["symbol"] == symbol), None)
        if found is None:
            raise NotFound("This symbol is not offered.", code="symbol_not_found")
        return Response(found)


class QuotesView(APIView):
    """The caller's group's prices."""

    @extend_schema(
        operation_id="list_quotes",
        parameters=[ACCOUNT, OpenApiParameter("symbols", str, description="Names, separated by commas.")],
        responses=openapi.responses(200, openapi.page(QuoteOut), BAD_CHOICE, NO_ACCOUNT),
    )
    def get(self, request: Request) -> Response:
        """List the present prices of the named symbols, or of all; a symbol without a price is left out."""
        given = request.query_params.get("symbols")
        names = None if given is None else [name for name in given.split(",") if name][:200]
        return Response({"results": offers.quotes(group_id=_group(request), names=names), "next": None})


class DealsView(APIView):
    """The caller's deals."""

    @extend_schema(
        operation_id="list_deals",
        parameters=[ACCOUNT, SYMBOL_PARAMETER, POSITION, *PERIOD, *PAGES],
        responses=openapi.responses(200, openapi.page(AccountDealOut), BAD_QUERY, NO_ACCOUNT),
    )
    def get(self, request: Request) -> Response:
        """List the caller's deals, newest first."""
        pages = CursorPagination()
        wanted = replace(rows_of(request), position_id=integer(request, "position_id"))
        found = history.deals(user_id=caller_id(request), wanted=wanted)
        rows = pages.paginate_queryset(found, request, view=self)
        return pages.get_paginated_response(
            [{"account": deal.account.login, **history.deal_view(deal)} for deal in rows or []]
        )


class EventsView(APIView):
    """The journal of one account."""

    @extend_schema(
        operation_id="list_events",
        parameters=[ACCOUNT, OpenApiParameter("since", int, description="Only events after this seq.")],
        responses=openapi.responses(200, openapi.page(EventOut), BAD_CHOICE, NO_ACCOUNT),
    )
    def get(self, request: Request) -> Response:
        """List an account's events in order; `next` goes on where the page ends."""
        account = chosen(request)
        since = integer(request, "since", default=0) or 0
        found = history.events(account_id=account.id, since=since, limit=EVENTS_PER_PAGE)
        following = None
        if len(found) == EVENTS_PER_PAGE:
            address = request.build_absolute_uri(request.path)
            following = f"{address}?account={account.login}&since={found[-1].seq}"
        results = [history.event_view(event, login=account.login) for event in found]
        return Response({"results": results, "next": following})
