"""Trader REST: orders and positions."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.selectors.accounts import owned
from apps.trading.api.inputs import ClosePositionIn, MarketOrderIn
from apps.trading.api.outputs import OrderOut, PositionOut
from apps.trading.api.queries import account_ids, caller_id, login_of, status_of
from apps.trading.selectors import books, history
from apps.trading.services import orders, positions
from rtx.kernel import openapi
from rtx.kernel.actor import Actor
from rtx.kernel.errors import NotFound
from rtx.kernel.rest import CursorPagination

ACCOUNT = OpenApiParameter("account", int, description="Login of one of the caller's accounts.")
STATUS = OpenApiParameter("status", str, description="Only orders of this status.")


class MarketOrderView(APIView):
    """Place a market order."""

    @extend_schema(
        operation_id="place_market_order",
        request=openapi.body(MarketOrderIn),
        responses=openapi.responses(201, openapi.of(OrderOut), 400, 404, 409, 503),
    )
    def post(self, request: Request) -> Response:
        """Place a market order; a refusal is an order with status `rejected` and a reason."""
        order = MarketOrderIn.validated(request.data)
        account = owned(user_id=caller_id(request), login=order.account)
        outcome = orders.place_market(account_id=account.id, order=order.to_domain(), actor=Actor.of(request))
        return Response(books.order_answer(outcome, login=account.login), status=201)


class OrdersView(APIView):
    """The caller's orders."""

    @extend_schema(
        operation_id="list_orders",
        parameters=[ACCOUNT, STATUS],
        responses=openapi.responses(200, openapi.page(OrderOut), 400, 404),
    )
    def get(self, request: Request) -> Response:
        """List the caller's orders, newest first."""
        login = login_of(request)
        found = history.orders(user_id=caller_id(request), login=login, status=status_of(request))
        pages = CursorPagination()
        rows = pages.paginate_queryset(found, request, view=self)
        return pages.get_paginated_response([history.order_view(order) for order in rows or []])


class OrderView(APIView):
    """One order of the caller."""

    @extend_schema(operation_id="get_order", responses=openapi.responses(200, openapi.of(OrderOut), 404))
    def get(self, request: Request, order_id: int) -> Response:
        """Return one order with its deals."""
        order = history.orders(user_id=caller_id(request)).filter(pk=order_id).first()
        if order is None:
            raise NotFound("There is no such order.")
        return Response(history.order_view(order))


class PositionsView(APIView):
    """The caller's open positions."""

    @extend_schema(
        operation_id="list_positions",
        parameters=[ACCOUNT],
        responses=openapi.responses(200, openapi.page(PositionOut), 400, 404),
    )
    def get(self, request: Request) -> Response:
        """List open positions, oldest first, valued at the present prices; never more than one page."""
        found = books.position_views(account_ids(request))
        return Response({"results": found, "next": None})


class PositionView(APIView):
    """One open position of the caller."""

    @extend_schema(
        operation_id="get_position", responses=openapi.responses(200, openapi.of(PositionOut), 404)
    )
    def get(self, request: Request, position_id: int) -> Response:
        """Return one open position at the present prices."""
        account_id = books.account_of_position(user_id=caller_id(request), position_id=position_id)
        found = books.position_views([account_id], position_id=position_id) if account_id else []
        if not found:
            raise NotFound("There is no such open position.", code="position_not_found")
        return Response(found[0])


class ClosePositionView(APIView):
    """Close a position."""

    @extend_schema(
        operation_id="close_position",
        request=openapi.body(ClosePositionIn),
        responses=openapi.responses(201, openapi.of(OrderOut), 400, 404, 409, 503),
    )
    def post(self, request: Request, position_id: int) -> Response:
        """Close a position at the market, or `volume` lots of it; a refusal is a rejected order."""
        close = ClosePositionIn.validated(request.data)
        user_id = caller_id(request)
        account = books.closing_account(
            user_id=user_id, position_id=position_id, client_order_id=close.client_order_id
        )
        outcome = positions.close(
            account_id=account.id,
            position_id=position_id,
            volume=close.volume,
            client_order_id=close.client_order_id,
            actor=Actor.of(request),
        )
        return Response(books.order_answer(outcome, login=account.login), status=201)
