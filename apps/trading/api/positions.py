"""Trader REST: positions, changing and closing them."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.trading.api import operations
from apps.trading.api.inputs import ChangePositionIn, CloseAllIn, CloseByIn, ClosePositionIn
from apps.trading.api.orders import NO_ACCOUNT, NO_SYMBOL, REFUSED, REUSED, performed
from apps.trading.api.outputs import CloseAllOut, OrderOut, OwnPositionOut, PositionOut
from apps.trading.api.queries import ACCOUNT, IDEMPOTENCY_KEY, account_ids, caller_id
from apps.trading.selectors import books
from rtx.kernel import openapi
from rtx.kernel.errors import NotFound

NO_POSITION = openapi.error(404, "position_not_found")


class PositionsView(APIView):
    """The caller's open positions."""

    @extend_schema(
        operation_id="list_positions",
        parameters=[ACCOUNT],
        responses=openapi.responses(
            200, openapi.page(PositionOut), openapi.error(400, "invalid"), NO_ACCOUNT
        ),
    )
    def get(self, request: Request) -> Response:
        """List open positions, oldest first, valued at the present prices; never more than one page."""
        found = books.position_views(account_ids(request))
        return Response({"results": found, "next": None})


class PositionView(APIView):
    """One open position of the caller."""

    @extend_schema(
        operation_id="get_position", responses=openapi.responses(200, openapi.of(PositionOut), NO_POSITION)
    )
    def get(self, request: Request, position_id: int) -> Response:
        """Return one open position at the present prices."""
        account = books.account_of_position(user_id=caller_id(request), position_id=position_id)
        found = books.position_views([account.id], position_id=position_id)
        if not found:
            raise NotFound("There is no such open position.", code="position_not_found")
        return Response(found[0])

    @extend_schema(
        operation_id="modify_position",
        parameters=[IDEMPOTENCY_KEY],
        request=openapi.body(ChangePositionIn),
        responses=openapi.responses(
            200,
            openapi.of(OwnPositionOut),
            400,
            NO_POSITION,
            openapi.error(409, "client_order_id_reused", *REFUSED),
        ),
    )
    def patch(self, request: Request, position_id: int) -> Response:
        """
        Change stop loss, take profit or trailing distance: what is absent stays, null removes. A refused
        change is a 409 whose code is the reason.
        """
        return Response(performed(request, operations.MODIFY_POSITION, ChangePositionIn, target=position_id))


class ClosePositionView(APIView):
    """Close a position."""

    @extend_schema(
        operation_id="close_position",
        request=openapi.body(ClosePositionIn),
        responses=openapi.responses(201, openapi.of(OrderOut), 400, NO_POSITION, REUSED),
    )
    def post(self, request: Request, position_id: int) -> Response:
        """Close a position at the market, or `volume` lots of it; a refusal is a rejected order."""
        answer = performed(request, operations.CLOSE, ClosePositionIn, target=position_id)
        return Response(answer, status=201)


class CloseByView(APIView):
    """Close positions by one another."""

    @extend_schema(
        operation_id="close_position_by",
        request=openapi.body(CloseByIn),
        responses=openapi.responses(
            201,
            openapi.of(OrderOut),
            openapi.error(400, "invalid", "malformed_json", "positions_do_not_match"),
            NO_POSITION,
            REUSED,
        ),
    )
    def post(self, request: Request) -> Response:
        """
        Close a position by an opposite one of the same symbol: the smaller volume leaves both. The order
        has two deals `out_by`.
        """
        return Response(performed(request, operations.CLOSE_BY, CloseByIn), status=201)


class CloseAllView(APIView):
    """Close everything."""

    @extend_schema(
        operation_id="close_all_positions",
        request=openapi.body(CloseAllIn),
        responses=openapi.responses(201, openapi.of(CloseAllOut), 400, NO_SYMBOL, REUSED),
    )
    def post(self, request: Request) -> Response:
        """
        Close every position of an account, or of one symbol. What stays open is listed in `failed`. A
        symbol that the group does not know is a 404.
        """
        return Response(performed(request, operations.CLOSE_ALL, CloseAllIn), status=201)
