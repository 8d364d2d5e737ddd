"""Admin REST of funds: posting for clients, the queue of what waits, deciding it."""

from typing import ClassVar

from django.db import transaction
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.staff import FORBIDDEN, REQUIRED_KEY, StaffView, key_of
from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.permissions import VIEW_PERSONAL_DATA
from apps.funds.adapters.receipt_pdf import receipt_file
from apps.funds.api.inputs import FundApproveIn, FundCorrectIn, FundPostIn, FundRejectIn
from apps.funds.api.outputs import StaffFundOperationOut
from apps.funds.api.queries import FILTERS, filters_of
from apps.funds.api.trader import NO_ACCOUNT, NO_OPERATION
from apps.funds.domain.operations import Asked, signed
from apps.funds.permissions import APPROVE, POST, REQUEST, VIEW
from apps.funds.selectors import operations
from apps.funds.services import decisions, requests
from apps.trading.api.queries import PAGES, integer
from rtx.kernel import clock, openapi
from rtx.kernel.errors import Forbidden
from rtx.kernel.rest import CursorPagination

ACCOUNT = OpenApiParameter("account", int, description="Login: only operations of this account.")
WAITING = OpenApiParameter("waiting", bool, description="Only what waits for staff (true), or what does not.")
STALE = openapi.error(401, "not_authenticated", "invalid_token", "reauthentication_required")
ASKED = openapi.responses(
    201,
    openapi.of(StaffFundOperationOut),
    openapi.error(400, "invalid", "malformed_json", "invalid_amount"),
    STALE,
    FORBIDDEN,
    NO_ACCOUNT,
    openapi.error(409, "idempotency_key_reused", "reference_used", "fund_operation_closed"),
)
DECIDED = openapi.responses(
    200,
    openapi.of(StaffFundOperationOut),
    400,
    STALE,
    openapi.error(403, "forbidden", "second_person_needed", "second_person_not_independent"),
    NO_OPERATION,
    openapi.error(
        409, "idempotency_key_reused", "fund_operation_closed", "approval_closed", "maker_not_entitled"
    ),
)


class FundOperationsView(StaffView):
    """Fund operations within reach."""

    rights = {"GET": VIEW}

    @extend_schema(
        operation_id="admin_fund_operations",
        parameters=[ACCOUNT, WAITING, *FILTERS, *PAGES],
        responses=openapi.responses(
            200, openapi.page(StaffFundOperationOut), openapi.error(400, "invalid"), FORBIDDEN, NO_ACCOUNT
        ),
    )
    def get(self, request: Request) -> Response:
        """List fund operations within reach, newest first; `waits_for` tells who has to act."""
        rows = operations.all_operations().filter(**filters_of(request))
        if self.staff.reach is not None:
            rows = rows.filter(account__group_id__in=self.staff.reach)
        login = integer(request, "account")
        if login is not None:
            rows = rows.filter(account=self.staff.account(login))
        waiting = {"true": True, "false": False}.get(request.query_params.get("waiting", ""))
        if waiting is not None:
            rows = rows.filter(is_waiting=waiting)
        pages = CursorPagination()
        found = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response([operations.staff_view(row) for row in found or []])


class _AskView(StaffView):
    fresh = {"POST"}
    kind: ClassVar[BalanceKind]
    input: ClassVar[type[FundPostIn] | type[FundCorrectIn]]

    def answer(self, request: Request) -> Response:
        """Post, or leave it to those who may."""
        given = self.input.validated(request.data)
        key = key_of(request)
        account = self.staff.account(given.account)
        if not self.staff.may(POST):
            self.staff.require(REQUEST)
        asked = Asked(
            account_id=account.pk,
            kind=self.kind,
            amount=signed(self.kind, given.value, currency=account.currency),
            reference=given.reference,
            comment=given.comment,
        )
        operation = requests.by_staff(
            account=account,
            asked=asked,
            key=key,
            actor=self.staff.acting(given.reason),
            may=self.staff.may,
        )
        return Response(operations.staff_view(operation), status=201)


class DepositView(_AskView):
    """Money in."""

    kind, input = BalanceKind.DEPOSIT, FundPostIn

    @extend_schema(
        operation_id="admin_fund_deposit",
        parameters=[REQUIRED_KEY],
        request=openapi.body(FundPostIn),
        responses=ASKED,
    )
    def post(self, request: Request) -> Response:
        """Deposit: posted at once, or waiting (`waits_for`) for a second person or for whoever may post."""
        return self.answer(request)


class WithdrawView(_AskView):
    """Money out."""

    kind, input = BalanceKind.WITHDRAWAL, FundPostIn

    @extend_schema(
        operation_id="admin_fund_withdraw",
        parameters=[REQUIRED_KEY],
        request=openapi.body(FundPostIn),
        responses=ASKED,
    )
    def post(self, request: Request) -> Response:
        """Withdraw, as a deposit is posted; what margin or a loss needs stays: `rejected`, `no_money`."""
        return self.answer(request)


class AdjustView(_AskView):
    """Corrections."""

    kind, input = BalanceKind.ADJUSTMENT, FundCorrectIn

    @extend_schema(
        operation_id="admin_fund_adjust",
        parameters=[REQUIRED_KEY],
        request=openapi.body(FundCorrectIn),
        responses=ASKED,
    )
    def post(self, request: Request) -> Response:
        """Correct a balance up or down, against the house's own result."""
        return self.answer(request)


class CreditView(_AskView):
    """Bonus."""

    kind, input = BalanceKind.CREDIT, FundCorrectIn

    @extend_schema(
        operation_id="admin_fund_credit",
        parameters=[REQUIRED_KEY],
        request=openapi.body(FundCorrectIn),
        responses=ASKED,
    )
    def post(self, request: Request) -> Response:
        """Grant credit, or take it back: it carries positions and cannot be withdrawn."""
        return self.answer(request)


class ApproveView(StaffView):
    """Letting an operation happen."""

    fresh = {"POST"}

    @extend_schema(
        operation_id="admin_fund_approve",
        parameters=[REQUIRED_KEY],
        request=openapi.body(FundApproveIn),
        responses=DECIDED,
    )
    def post(self, request: Request, operation_id: int) -> Response:
        """
        Approve: the first word posts a request up to the group's threshold and asks for a second person above
        it; the second word posts. A withdrawal is looked at again: `rejected`, `no_money`.
        """
        given = FundApproveIn.validated(request.data)
        key = key_of(request)
        found = operations.within(reach=self.staff.reach, operation_id=operation_id)
        _decides(self)
        actor = self.staff.acting(given.reason)
        done = decisions.approve(found, actor=actor, may=self.staff.may, key=key)
        return Response(operations.staff_view(done))


class RejectView(StaffView):
    """Refusing an operation."""

    fresh = {"POST"}

    @extend_schema(
        operation_id="admin_fund_reject",
        parameters=[REQUIRED_KEY],
        request=openapi.body(FundRejectIn),
        responses=DECIDED,
    )
    def post(self, request: Request, operation_id: int) -> Response:
        """Reject what waits for one's word. The client reads `message`, never `reason`."""
        given = FundRejectIn.validated(request.data)
        key = key_of(request)
        found = operations.within(reach=self.staff.reach, operation_id=operation_id)
        _decides(self)
        actor = self.staff.acting(given.reason)
        done = decisions.reject(found, actor=actor, may=self.staff.may, key=key, message=given.message)
        return Response(operations.staff_view(done))


class StaffReceiptView(StaffView):
    """The receipt of a posted operation, for staff."""

    @extend_schema(
        operation_id="admin_fund_receipt",
        responses=openapi.download(
            "application/pdf", FORBIDDEN, NO_OPERATION, openapi.error(409, "not_posted")
        ),
    )
    def get(self, request: Request, operation_id: int) -> HttpResponse:
        """Return the receipt as PDF, logged; the holder's name only for those who may see personal data."""
        found = operations.within(reach=self.staff.reach, operation_id=operation_id)
        self.staff.require(VIEW)
        shows_holder = self.staff.may(VIEW_PERSONAL_DATA)
        made = receipt_file(found, now=clock.now(), shows_holder=shows_holder)
        with transaction.atomic():
            self.staff.record(
                "funds.download_receipt",
                target=found,
                group_id=found.account.group_id,
                account_id=found.account_id,
                after={"names_holder": shows_holder},
            )
        return made.answer()


def _decides(view: StaffView) -> None:
    """Refuse whoever has no word in fund operations at all; which word is needed the operation tells."""
    if not view.staff.may(POST) and not view.staff.may(APPROVE):
        raise Forbidden(f"This needs the right {POST} or {APPROVE}.")
