"""Admin REST of risk: exposure, what-if, value at risk, correlations, analytics, open markets."""

from decimal import Decimal

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.staff import FORBIDDEN, StaffView
from apps.risk.api.inputs import CorrelationIn, ValueAtRiskIn, WhatIfIn
from apps.risk.api.outputs import ExposureOut, WhatIfOut
from apps.risk.api.queries import (
    CURRENCY,
    PAGES,
    PERIOD,
    SYMBOL_PARAMETER,
    currency_of,
    period_of,
    symbol_of,
)
from apps.risk.api.record_outputs import (
    AccountAnalyticsOut,
    CorrelationOut,
    MarketsOpenOut,
    ValueAtRiskOut,
)
from apps.risk.models import ValueAtRisk
from apps.risk.selectors import analytics, exposure, market_open
from apps.risk.selectors import correlations as correlation_rows
from apps.risk.selectors.record_views import value_at_risk_view
from apps.risk.selectors.shocks import shock_of
from apps.risk.selectors.what_if import what_if
from apps.risk.services import correlations, value_at_risk
from rtx.kernel import clock, openapi
from rtx.kernel.errors import Invalid
from rtx.kernel.rest import CursorPagination

NO_SYMBOL = openapi.error(404, "symbol_not_found")
BAD_QUERY = openapi.error(400, "invalid")


class ExposureView(StaffView):
    """What clients hold."""

    rights = {"GET": "trading.view_position"}

    @extend_schema(
        operation_id="admin_risk_exposure",
        parameters=[CURRENCY],
        responses=openapi.responses(200, openapi.of(ExposureOut), BAD_QUERY, FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """Return the exposure within reach per symbol, currency, group and book, net and gross."""
        currency = currency_of(request)
        if not exposure.is_known(currency):
            raise Invalid(
                f"{currency} is no currency of ours.", errors={"currency": ["no symbol or group has it"]}
            )
        return Response(exposure.exposure_view(self.staff.reach, currency=currency))


class WhatIfView(StaffView):
    """What would happen."""

    rights = {"POST": "risk.view_accountrisk"}

    @extend_schema(
        operation_id="admin_risk_what_if",
        request=openapi.body(WhatIfIn),
        responses=openapi.responses(
            200,
            openapi.of(WhatIfOut),
            openapi.error(400, "invalid", "malformed_json", "what_if_invalid"),
            FORBIDDEN,
            openapi.error(404, "symbol_not_found", "group_not_found"),
        ),
    )
    def post(self, request: Request) -> Response:
        """
        Shock prices, spreads, leverage or levels and see which accounts within reach would be called or
        closed, and what the house would make or lose. Changes nothing.
        """
        given = WhatIfIn.validated(request.data)
        shock = shock_of(given.asked(), reach=self.staff.reach)
        return Response(what_if(shock, reach=self.staff.reach, limit=given.limit))


class ValueAtRiskView(StaffView):
    """What the house may lose. Of the whole house, whatever the caller's reach: it has its own right."""

    rights = {"GET": "risk.view_valueatrisk", "POST": "risk.add_valueatrisk"}

    @extend_schema(
        operation_id="admin_risk_value_at_risk",
        parameters=PAGES,
        responses=openapi.responses(200, openapi.page(ValueAtRiskOut), BAD_QUERY, FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """List the estimates, newest first."""
        pages = CursorPagination()
        rows = pages.paginate_queryset(ValueAtRisk.objects.all(), request, view=self)
        return pages.get_paginated_response([value_at_risk_view(row) for row in rows or []])

    @extend_schema(
        operation_id="admin_risk_estimate_value_at_risk",
        request=openapi.body(ValueAtRiskIn),
        responses=openapi.responses(
            201,
            openapi.of(ValueAtRiskOut),
            openapi.error(400, "invalid", "malformed_json", "value_at_risk_invalid"),
            FORBIDDEN,
        ),
    )
    def post(self, request: Request) -> Response:
        """Estimate now and keep it."""
        given = ValueAtRiskIn.validated(request.data)
        with transaction.atomic():
            row = value_at_risk.run(
                method=given.method,
                confidence_pct=Decimal(given.confidence_pct),
                horizon_days=given.horizon_days,
                interval=given.interval,
                now=clock.now(),
            )
            self.staff.record("risk.estimate_value_at_risk", target=row)
        return Response(value_at_risk_view(row), status=201)


class CorrelationsView(StaffView):
    """How symbols move together."""

    rights = {"GET": "risk.view_correlation", "PUT": "risk.change_correlation"}

    @extend_schema(
        operation_id="admin_risk_correlations",
        parameters=PAGES,
        responses=openapi.responses(200, openapi.page(CorrelationOut), BAD_QUERY, FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """List the pairs with their estimate, their override and what counts."""
        pages = CursorPagination()
        rows = pages.paginate_queryset(correlation_rows.pairs(), request, view=self) or []
        return pages.get_paginated_response([correlation_rows.shown(row) for row in rows])

    @extend_schema(
        operation_id="admin_risk_override_correlation",
        request=openapi.body(CorrelationIn),
        responses=openapi.responses(
            200,
            openapi.of(CorrelationOut),
            openapi.error(400, "invalid", "malformed_json", "correlation_invalid"),
            FORBIDDEN,
            NO_SYMBOL,
        ),
    )
    def put(self, request: Request) -> Response:
        """Set a value instead of the estimate, or with null take it away again."""
        given = CorrelationIn.validated(request.data)
        with transaction.atomic():
            row = correlations.pair(first=given.first, second=given.second)
            if given.value is None:
                correlations.clear(correlation_id=row.pk)
            else:
                value = Decimal(given.value)
                correlations.override(correlation_id=row.pk, value=value, reason=given.reason)
            self.staff.record(
                "risk.override_correlation",
                target=row,
                reason=given.reason,
                after={"value": given.value},
            )
        return Response(correlation_rows.shown(correlation_rows.pairs().get(pk=row.pk)))


class AccountAnalyticsView(StaffView):
    """One account's risk."""

    @extend_schema(
        operation_id="admin_risk_account",
        parameters=PERIOD,
        responses=openapi.responses(
            200,
            openapi.of(AccountAnalyticsOut),
            BAD_QUERY,
            FORBIDDEN,
            openapi.error(404, "account_not_found"),
        ),
    )
    def get(self, request: Request, login: int) -> Response:
        """Return peak equity, drawdown, used credit, order history, margin calls and liquidations."""
        account = self.staff.account(login)
        self.staff.require("risk.view_accountrisk")
        return Response(analytics.account_analytics(account, period=period_of(request)))


class MarketOpenView(StaffView):
    """Open markets."""

    rights = {"GET": "market.view_symbol"}

    @extend_schema(
        operation_id="admin_risk_market_open",
        parameters=[SYMBOL_PARAMETER],
        responses=openapi.responses(200, openapi.of(MarketsOpenOut), BAD_QUERY, FORBIDDEN, NO_SYMBOL),
    )
    def get(self, request: Request) -> Response:
        """Say for each symbol whether it trades now, when that changes, and what is in the way."""
        found = market_open.market_open(now=clock.now(), symbol=symbol_of(request))
        return Response({"results": found, "next": None})
