"""Admin REST of positions: listing, closing, changing, and asking for a reversal."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.staff import FORBIDDEN
from apps.trading.api.orders import REFUSED
from apps.trading.api.outputs import OrderOut, OwnPositionOut
from apps.trading.api.positions import NO_POSITION
from apps.trading.api.queries import PAGES, SYMBOL_PARAMETER, symbol_of
from apps.trading.api.staff_dealing import KEY_REUSED, WRITES, DealingView, is_dry_run, key_of, or_preview
from apps.trading.api.staff_inputs import StaffChangePositionIn, StaffCloseIn, StaffReverseIn
from apps.trading.api.staff_orders import ACCOUNT, REUSED, login_of
from apps.trading.api.staff_outputs import PreviewOut, ReversalAskedOut, StaffPositionOut, preview_view
from apps.trading.domain.orders import RejectReason
from apps.trading.permissions import CLOSE_POSITION, MODIFY_POSITION, REVERSE_POSITION
from apps.trading.selectors import books, dealing, valued
from apps.trading.services import orders, positions, reversals
from rtx.kernel import openapi
from rtx.kernel.rest import CursorPagination


class StaffPositionsView(DealingView):
    """Open positions of clients."""

    rights = {"GET": "trading.view_position"}

    @extend_schema(
        operation_id="admin_list_positions",
        parameters=[ACCOUNT, SYMBOL_PARAMETER, *PAGES],
        responses=openapi.responses(
            200,
            openapi.page(StaffPositionOut),
            openapi.error(400, "invalid"),
            FORBIDDEN,
            openapi.error(404, "account_not_found"),
        ),
    )
    def get(self, request: Request) -> Response:
        """List open positions within reach, newest first, valued at the present prices."""
        found = dealing.positions(
            reach=self.staff.reach, login=login_of(self, request), symbol=symbol_of(request)
        )
        pages = CursorPagination()
        rows = pages.paginate_queryset(found, request, view=self)
        return pages.get_paginated_response(valued.views(rows or []))


class StaffClosePositionView(DealingView):
    """Closing a position of a client."""

    @extend_schema(
        operation_id="admin_close_position",
        parameters=WRITES,
        request=openapi.body(StaffCloseIn),
        responses={
            **openapi.responses(201, openapi.of(OrderOut), 400, FORBIDDEN, NO_POSITION, REUSED),
            200: openapi.of(PreviewOut),
        },
    )
    def post(self, request: Request, position_id: int) -> Response:
        """Close a position at the market, or `volume` lots of it; a refusal is a rejected order."""
        account = dealing.account_of_position(reach=self.staff.reach, position_id=position_id)
        self.staff.require(CLOSE_POSITION)
        given = StaffCloseIn.validated(request.data)
        actor = self.staff.acting(given.reason)
        return self.dealt(
            request,
            lambda own_id: positions.close_command(
                account_id=account.pk,
                position_id=position_id,
                volume=given.volume,
                client_order_id=own_id,
                actor=actor,
            ),
            lambda outcome: books.order_answer(outcome, login=account.login),
            status=201,
        )


class StaffModifyPositionView(DealingView):
    """Changing a position's stops."""

    @extend_schema(
        operation_id="admin_modify_position",
        parameters=WRITES,
        request=openapi.body(StaffChangePositionIn),
        responses=openapi.responses(
            200,
            or_preview(OwnPositionOut),
            400,
            FORBIDDEN,
            NO_POSITION,
            openapi.error(409, KEY_REUSED, *REFUSED),
        ),
    )
    def post(self, request: Request, position_id: int) -> Response:
        """Change stop loss, take profit or trailing distance: what is absent stays, null removes."""
        account = dealing.account_of_position(reach=self.staff.reach, position_id=position_id)
        self.staff.require(MODIFY_POSITION)
        given = StaffChangePositionIn.validated(request.data)
        actor = self.staff.acting(given.reason)
        return self.dealt(
            request,
            lambda _: positions.modify_command(
                account_id=account.pk, position_id=position_id, changes=given.changes(), actor=actor
            ),
            lambda outcome: books.position_answer(orders.accepted(outcome), login=account.login),
        )


class StaffReversePositionView(DealingView):
    """Asking for a reversal."""

    @extend_schema(
        operation_id="admin_reverse_position",
        parameters=WRITES,
        request=openapi.body(StaffReverseIn),
        responses={
            **openapi.responses(
                202,
                openapi.of(ReversalAskedOut),
                400,
                FORBIDDEN,
                NO_POSITION,
                openapi.error(409, KEY_REUSED, *(str(reason) for reason in RejectReason)),
            ),
            200: openapi.of(PreviewOut),
        },
    )
    def post(self, request: Request, position_id: int) -> Response:
        """
        Ask for a reversal: a second person has to approve it, and it then happens at the price of that
        moment. What would be refused now is refused at once.
        """
        dealing.account_of_position(reach=self.staff.reach, position_id=position_id)
        self.staff.require(REVERSE_POSITION)
        given = StaffReverseIn.validated(request.data)
        actor = self.staff.acting(given.reason)
        if is_dry_run(request):
            return Response(preview_view(reversals.preview(position_id=position_id, actor=actor)))
        asked = reversals.ask(
            position_id=position_id,
            deviation=given.deviation,
            actor=actor,
            user_id=self.staff.user.pk,
            key=key_of(request),
        )
        return Response(asked, status=202)
