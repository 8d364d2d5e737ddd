"""Trader REST: asking for deposits and withdrawals, following them, receipts."""

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.staff import REQUIRED_KEY, key_of
from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import TradingAccount
from apps.accounts.selectors.accounts import owned
from apps.funds.adapters.receipt_pdf import receipt_file
from apps.funds.api.inputs import FundRequestIn
from apps.funds.api.outputs import FundOperationOut
from apps.funds.api.queries import FILTERS, filters_of
from apps.funds.selectors import operations
from apps.funds.services import decisions, requests
from apps.trading.api.queries import ACCOUNT, PAGES, caller_id, login_of
from apps.trading.api.statements import StatementThrottle
from rtx.kernel import clock, openapi
from rtx.kernel.actor import Actor
from rtx.kernel.rest import CursorPagination

NO_ACCOUNT = openapi.error(404, "account_not_found")
NO_OPERATION = openapi.error(404, "fund_operation_not_found")


class FundsView(APIView):
    """The caller's fund operations."""

    @extend_schema(
        operation_id="list_fund_operations",
        parameters=[ACCOUNT, *FILTERS, *PAGES],
        responses=openapi.responses(
            200, openapi.page(FundOperationOut), openapi.error(400, "invalid"), NO_ACCOUNT
        ),
    )
    def get(self, request: Request) -> Response:
        """List deposits, withdrawals, adjustments and credit of the caller's accounts, newest first."""
        rows = operations.of_client(user_id=caller_id(request)).filter(**filters_of(request))
        login = login_of(request)
        if login is not None:
            rows = rows.filter(account__login=login)
        pages = CursorPagination()
        found = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response([operations.client_view(row) for row in found or []])


class _RequestView(APIView):
    kind: BalanceKind

    def answer(self, request: Request) -> Response:
        """Put the request into the queue."""
        given = FundRequestIn.validated(request.data)
        key = key_of(request)
        account = owned(user_id=caller_id(request), login=given.account)
        operation = requests.by_client(
            account=TradingAccount.objects.select_related("group").get(pk=account.id),
            kind=self.kind,
            amount=given.amount,
            comment=given.comment,
            key=key,
            actor=Actor.of(request),
        )
        return Response(operations.client_view(operation), status=201)


REQUESTED = openapi.responses(
    201,
    openapi.of(FundOperationOut),
    openapi.error(400, "invalid", "malformed_json", "invalid_amount", "below_minimum"),
    NO_ACCOUNT,
    openapi.error(409, "idempotency_key_reused", "requests_closed", "too_many_requests_open"),
)


class DepositsView(_RequestView):
    """Announcing money."""

    kind = BalanceKind.DEPOSIT

    @extend_schema(
        operation_id="request_deposit",
        parameters=[REQUIRED_KEY],
        request=openapi.body(FundRequestIn),
        responses=REQUESTED,
    )
    def post(self, request: Request) -> Response:
        """Ask for a deposit: staff book it when the money has arrived. A repeat finds the first request."""
        return self.answer(request)


class WithdrawalsView(_RequestView):
    """Asking for money."""

    kind = BalanceKind.WITHDRAWAL

    @extend_schema(
        operation_id="request_withdrawal",
        parameters=[REQUIRED_KEY],
        request=openapi.body(FundRequestIn),
        responses=REQUESTED,
    )
    def post(self, request: Request) -> Response:
        """
        Ask for a withdrawal. Nothing is reserved: when staff book it and margin or a loss needs the money, it
        is rejected with `no_money`. A repeat finds the first request.
        """
        return self.answer(request)


class FundView(APIView):
    """One fund operation of the caller."""

    @extend_schema(
        operation_id="get_fund_operation",
        responses=openapi.responses(200, openapi.of(FundOperationOut), NO_OPERATION),
    )
    def get(self, request: Request, operation_id: int) -> Response:
        """Return one operation."""
        found = operations.owned(user_id=caller_id(request), operation_id=operation_id)
        return Response(operations.client_view(found))

    @extend_schema(
        operation_id="cancel_fund_operation",
        responses=openapi.responses(
            200,
            openapi.of(FundOperationOut),
            openapi.error(403, "forbidden"),
            NO_OPERATION,
            openapi.error(409, "fund_operation_closed"),
        ),
    )
    def delete(self, request: Request, operation_id: int) -> Response:
        """Take a request back while nobody has approved it; one that is canceled already is returned."""
        found = operations.owned(user_id=caller_id(request), operation_id=operation_id)
        done = decisions.take_back(found, actor=Actor.of(request))
        return Response(operations.client_view(done))


class ReceiptView(APIView):
    """The receipt of a posted operation."""

    throttle_classes = (StatementThrottle,)

    @extend_schema(
        operation_id="get_fund_receipt",
        responses=openapi.download("application/pdf", NO_OPERATION, openapi.error(409, "not_posted")),
    )
    def get(self, request: Request, operation_id: int) -> HttpResponse:
        """Return the receipt as PDF; there is one once the operation is posted."""
        found = operations.owned(user_id=caller_id(request), operation_id=operation_id)
        return receipt_file(found, now=clock.now(), shows_holder=True).answer()
