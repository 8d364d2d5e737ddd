"""Trader REST: orders."""

from dataclasses import replace
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.trading.api import operations
from apps.trading.api.inputs import CancelOrderIn, ChangeOrderIn, MarketOrderIn, PendingOrderIn
from apps.trading.api.operations import Asked, Operation
from apps.trading.api.outputs import OrderOut
from apps.trading.api.queries import (
    ACCOUNT,
    IDEMPOTENCY_KEY,
    PAGES,
    PERIOD,
    SYMBOL_PARAMETER,
    caller_id,
    choice,
    key_of,
    rows_of,
)
from apps.trading.domain.orders import OrderStatus, OrderType
from apps.trading.selectors import history
from apps.trading.services import executor
from rtx.kernel import openapi
from rtx.kernel.actor import Actor
from rtx.kernel.errors import RtxError
from rtx.kernel.rest import CursorPagination, Input

ORDER_INPUT = openapi.error(400, "invalid", "malformed_json", "invalid_time_in_force", "invalid_order_type")
NO_ACCOUNT = openapi.error(404, "account_not_found")
NO_SYMBOL = openapi.error(404, "account_not_found", "symbol_not_found")
NO_ORDER = openapi.error(404, "order_not_found")
REUSED = openapi.error(409, "client_order_id_reused")
REFUSED = (
    "invalid_price",
    "invalid_stops",
    "invalid_volume",
    "frozen",
    "no_money",
    "off_quotes",
    "account_disabled",
)
STATUS = OpenApiParameter("status", str, enum=list(OrderStatus), description="Only orders of this status.")
TYPE = OpenApiParameter("type", str, enum=list(OrderType), description="Only orders of this type.")


def performed(request: Request, operation: Operation, body: type[Input], *, target: int | None = None) -> Any:
    """
    Run one operation of a REST request and return its answer; `target` is the id in the address, if it has
    one.

    :raises RtxError: as the input, the account's lookup and the service do.
    """
    given = body.validated(request.data)
    key = key_of(request, given) if operation.is_keyed else None
    user_id = caller_id(request)
    if target is None:
        target = operation.target_of(given)
    account = operations.account_of(operation, user_id=user_id, given=given, target=target)
    asked = Asked(account_id=account.id, actor=Actor.of(request), given=given, target=target, key=key)
    try:
        outcome = executor.run(operation.command(asked))
    except RtxError as error:
        if operation.instead is None:
            raise
        return operation.instead(user_id, target, error)
    return operation.answer(outcome, account.login)


class MarketOrderView(APIView):
    """Place a market order."""

    @extend_schema(
        operation_id="place_market_order",
        request=openapi.body(MarketOrderIn),
        responses=openapi.responses(201, openapi.of(OrderOut), 400, NO_SYMBOL, REUSED),
    )
    def post(self, request: Request) -> Response:
        """Place a market order; a refusal is an order with status `rejected` and a reason."""
        return Response(performed(request, operations.MARKET, MarketOrderIn), status=201)


class PendingOrderView(APIView):
    """Place a pending order."""

    @extend_schema(
        operation_id="place_pending_order",
        request=openapi.body(PendingOrderIn),
        responses=openapi.responses(201, openapi.of(OrderOut), ORDER_INPUT, NO_SYMBOL, REUSED),
    )
    def post(self, request: Request) -> Response:
        """
        Leave a limit, stop or stop limit order. A limit at or through the market fills at once; a refusal
        is an order with status `rejected` and a reason.
        """
        return Response(performed(request, operations.PENDING, PendingOrderIn), status=201)


class OrdersView(APIView):
    """The caller's orders."""

    @extend_schema(
        operation_id="list_orders",
        parameters=[ACCOUNT, STATUS, TYPE, SYMBOL_PARAMETER, *PERIOD, *PAGES],
        responses=openapi.responses(200, openapi.page(OrderOut), openapi.error(400, "invalid"), NO_ACCOUNT),
    )
    def get(self, request: Request) -> Response:
        """List the caller's orders, newest first."""
        wanted = replace(
            rows_of(request),
            status=choice(request, "status", OrderStatus),
            type=choice(request, "type", OrderType),
        )
        found = history.orders(user_id=caller_id(request), wanted=wanted)
        pages = CursorPagination()
        rows = pages.paginate_queryset(found, request, view=self)
        return pages.get_paginated_response([history.order_view(order) for order in rows or []])


class OrderView(APIView):
    """One order of the caller."""

    @extend_schema(operation_id="get_order", responses=openapi.responses(200, openapi.of(OrderOut), NO_ORDER))
    def get(self, request: Request, order_id: int) -> Response:
        """Return one order with its deals."""
        found = history.order(user_id=caller_id(request), order_id=order_id)
        return Response(history.order_view(found))

    @extend_schema(
        operation_id="modify_order",
        parameters=[IDEMPOTENCY_KEY],
        request=openapi.body(ChangeOrderIn),
        responses=openapi.responses(
            200,
            openapi.of(OrderOut),
            ORDER_INPUT,
            NO_ORDER,
            openapi.error(409, "order_not_working", "client_order_id_reused", *REFUSED),
        ),
    )
    def patch(self, request: Request, order_id: int) -> Response:
        """
        Change a working order: what is absent stays, null removes. A refused change is a 409 whose code is
        the reason.
        """
        return Response(performed(request, operations.MODIFY_ORDER, ChangeOrderIn, target=order_id))

    @extend_schema(
        operation_id="cancel_order",
        parameters=[IDEMPOTENCY_KEY],
        request=None,
        responses=openapi.responses(
            200,
            openapi.of(OrderOut),
            400,
            NO_ORDER,
            openapi.error(409, "order_not_working", "client_order_id_reused", "frozen", "account_disabled"),
        ),
    )
    def delete(self, request: Request, order_id: int) -> Response:
        """Take a working order back. An order that is canceled already is answered as it is."""
        return Response(performed(request, operations.CANCEL, CancelOrderIn, target=order_id))
