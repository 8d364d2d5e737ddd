"""Admin REST of orders: placing on behalf of a client, changing, taking back, listing."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.staff import FORBIDDEN
from apps.trading.api.orders import NO_ORDER, ORDER_INPUT, REFUSED, STATUS, TYPE
from apps.trading.api.outputs import OrderOut
from apps.trading.api.queries import PAGES, PERIOD, SYMBOL_PARAMETER, choice, integer, symbol_of
from apps.trading.api.staff_dealing import KEY_REUSED, WRITES, DealingView, or_preview
from apps.trading.api.staff_inputs import StaffCancelIn, StaffChangeOrderIn, StaffOrderIn
from apps.trading.api.staff_outputs import PreviewOut
from apps.trading.domain.orders import OrderStatus, OrderType
from apps.trading.permissions import CANCEL_ORDER, MODIFY_ORDER, PLACE_ORDER
from apps.trading.selectors import books, dealing, history
from apps.trading.selectors.history import Filter
from apps.trading.services import orders
from rtx.kernel import openapi
from rtx.kernel.rest import CursorPagination, instant_of

ACCOUNT = OpenApiParameter("account", int, description="Login of one account within reach.")
POSITION = OpenApiParameter("position", int, description="Only orders of this position.")
REUSED = openapi.error(409, KEY_REUSED)
NOT_CHANGED = openapi.error(409, "order_not_working", KEY_REUSED, *REFUSED)


def login_of(view: DealingView, request: Request) -> int | None:
    """
    Return the login in `?account=`; None when not given.

    :raises AccountNotFound: unknown, or outside reach.
    """
    login = integer(request, "account")
    return None if login is None else view.staff.account(login).login


class StaffOrdersView(DealingView):
    """Orders of clients."""

    rights = {"GET": "trading.view_order"}

    @extend_schema(
        operation_id="admin_list_orders",
        parameters=[ACCOUNT, STATUS, TYPE, SYMBOL_PARAMETER, POSITION, *PERIOD, *PAGES],
        responses=openapi.responses(
            200,
            openapi.page(OrderOut),
            openapi.error(400, "invalid"),
            FORBIDDEN,
            openapi.error(404, "account_not_found"),
        ),
    )
    def get(self, request: Request) -> Response:
        """List orders within reach, newest first, with their deals."""
        query = request.query_params
        wanted = Filter(
            login=login_of(self, request),
            symbol=symbol_of(request),
            status=choice(request, "status", OrderStatus),
            type=choice(request, "type", OrderType),
            position_id=integer(request, "position"),
            since=instant_of(query.get("from"), "from"),
            until=instant_of(query.get("to"), "to"),
        )
        pages = CursorPagination()
        found = dealing.orders(reach=self.staff.reach, wanted=wanted)
        rows = pages.paginate_queryset(found, request, view=self)
        return pages.get_paginated_response([history.order_view(order) for order in rows or []])


class StaffNewOrderView(DealingView):
    """Placing an order on behalf of a client."""

    @extend_schema(
        operation_id="admin_create_order",
        parameters=WRITES,
        request=openapi.body(StaffOrderIn),
        responses={
            **openapi.responses(
                201,
                openapi.of(OrderOut),
                ORDER_INPUT,
                FORBIDDEN,
                openapi.error(404, "account_not_found", "symbol_not_found"),
                REUSED,
            ),
            200: openapi.of(PreviewOut),
        },
    )
    def post(self, request: Request) -> Response:
        """
        Place a market or pending order for a client. A refusal is an order with status `rejected` and a
        reason.
        """
        given = StaffOrderIn.validated(request.data)
        account = self.staff.account(given.account)
        self.staff.require(PLACE_ORDER)
        actor = self.staff.acting(given.reason)
        return self.dealt(
            request,
            lambda own_id: given.command(account_id=account.pk, client_order_id=own_id, actor=actor),
            lambda outcome: books.order_answer(outcome, login=account.login),
            status=201,
        )


class StaffOrderView(DealingView):
    """One order of a client."""

    @extend_schema(
        operation_id="admin_modify_order",
        parameters=WRITES,
        request=openapi.body(StaffChangeOrderIn),
        responses=openapi.responses(200, or_preview(OrderOut), ORDER_INPUT, FORBIDDEN, NO_ORDER, NOT_CHANGED),
    )
    def put(self, request: Request, order_id: int) -> Response:
        """Change a working order: what is absent stays, null removes. A refused change is a 409."""
        order = dealing.order(reach=self.staff.reach, order_id=order_id)
        self.staff.require(MODIFY_ORDER)
        given = StaffChangeOrderIn.validated(request.data)
        actor = self.staff.acting(given.reason)
        return self.dealt(
            request,
            lambda _: orders.modify_command(
                account_id=order.account_id, order_id=order.pk, changes=given.changes(), actor=actor
            ),
            lambda outcome: books.order_answer(orders.accepted(outcome), login=order.account.login),
        )

    @extend_schema(
        operation_id="admin_cancel_order",
        parameters=WRITES,
        request=openapi.body(StaffCancelIn),
        responses=openapi.responses(200, or_preview(OrderOut), 400, FORBIDDEN, NO_ORDER, NOT_CHANGED),
    )
    def delete(self, request: Request, order_id: int) -> Response:
        """Take a working order back."""
        order = dealing.order(reach=self.staff.reach, order_id=order_id)
        self.staff.require(CANCEL_ORDER)
        given = StaffCancelIn.validated(request.data)
        actor = self.staff.acting(given.reason)
        return self.dealt(
            request,
            lambda _: orders.cancel_command(account_id=order.account_id, order_id=order.pk, actor=actor),
            lambda outcome: books.order_answer(orders.accepted(outcome), login=order.account.login),
        )
