"""Admin REST of risk: margin, liquidations, limits, alarms, sweeps and the monitor. Reads only."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.staff import FORBIDDEN, StaffView
from apps.risk.api.control_outputs import AlarmOut, LimitOut, MonitorsOut, SweepOut
from apps.risk.api.queries import ACCOUNT, PAGES, PERIOD, account_id_of, flag_of, period_of
from apps.risk.api.record_outputs import LiquidationDossierOut, LiquidationOut, MarginOut
from apps.risk.models import AccountRisk, MonitorStatus, RiskAlarm, RiskLimit, SweepRun
from apps.risk.selectors import analytics, record_views
from apps.risk.selectors.reaches import alarms_within
from rtx.kernel import openapi
from rtx.kernel.rest import CursorPagination

BAD_QUERY = openapi.error(400, "invalid")
NO_ACCOUNT = openapi.error(404, "account_not_found")
OPEN = OpenApiParameter("open", bool, description="Only alarms whose cause is not gone, or only those.")


class LowestFirst(CursorPagination):
    """Pages by margin level, the lowest first."""

    ordering = ("level_pct", "pk")  # type: ignore[assignment]


def paged(
    view: StaffView,
    request: Request,
    rows: QuerySet[Any],
    shown: Callable[[Any], dict[str, Any]],
    pages: CursorPagination | None = None,
) -> Response:
    """Answer one page of rows."""
    used = pages or CursorPagination()
    found = used.paginate_queryset(rows, request, view=view)
    return used.get_paginated_response([shown(row) for row in found or []])


def margin_view(row: AccountRisk) -> dict[str, Any]:
    """Return the marks of one account with its names."""
    account = row.account
    named = {"account": account.login, "group": account.group.name, "currency": account.currency}
    return named | analytics.mark_view(row, account.currency)


class MarginView(StaffView):
    """Margin levels."""

    rights = {"GET": "risk.view_accountrisk"}

    @extend_schema(
        operation_id="admin_risk_margin",
        parameters=[ACCOUNT, *PAGES],
        responses=openapi.responses(200, openapi.page(MarginOut), BAD_QUERY, FORBIDDEN, NO_ACCOUNT),
    )
    def get(self, request: Request) -> Response:
        """List the accounts within reach that hold margin, the lowest level first, as last marked."""
        account_id = account_id_of(request, self.staff)
        ids = None if account_id is None else [account_id]
        rows = analytics.margin_rows(reach=self.staff.reach, account_ids=ids)
        return paged(self, request, rows, margin_view, LowestFirst())


class LiquidationsView(StaffView):
    """Stop-outs."""

    rights = {"GET": "risk.view_liquidation"}

    @extend_schema(
        operation_id="admin_risk_liquidations",
        parameters=[ACCOUNT, *PERIOD, *PAGES],
        responses=openapi.responses(200, openapi.page(LiquidationOut), BAD_QUERY, FORBIDDEN, NO_ACCOUNT),
    )
    def get(self, request: Request) -> Response:
        """List the liquidations within reach, newest first."""
        rows = analytics.liquidations(
            reach=self.staff.reach,
            account_id=account_id_of(request, self.staff),
            period=period_of(request),
        )
        return paged(self, request, rows, record_views.liquidation_view)


class LiquidationView(StaffView):
    """One stop-out."""

    @extend_schema(
        operation_id="admin_risk_liquidation",
        responses=openapi.responses(
            200,
            openapi.of(LiquidationDossierOut),
            FORBIDDEN,
            openapi.error(404, "liquidation_not_found"),
        ),
    )
    def get(self, request: Request, liquidation_id: int) -> Response:
        """Return one liquidation with its dossier: everything that decided it."""
        found = record_views.liquidation(liquidation_id, reach=self.staff.reach)
        self.staff.require("risk.view_liquidation")
        return Response(found)


class LimitsView(StaffView):
    """Limits."""

    rights = {"GET": "risk.view_risklimit"}

    @extend_schema(
        operation_id="admin_risk_limits",
        parameters=PAGES,
        responses=openapi.responses(200, openapi.page(LimitOut), BAD_QUERY, FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """List the limits of groups and accounts within reach, of symbols and of the platform."""
        rows = RiskLimit.objects.select_related("group", "account", "symbol")
        return paged(self, request, record_views.of_targets(rows, self.staff.reach), record_views.limit_view)


class AlarmsView(StaffView):
    """Alarms."""

    rights = {"GET": "risk.view_riskalarm"}

    @extend_schema(
        operation_id="admin_risk_alarms",
        parameters=[OPEN, *PAGES],
        responses=openapi.responses(200, openapi.page(AlarmOut), BAD_QUERY, FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """List the alarms, newest first; those of groups and accounts within reach only."""
        rows = alarms_within(RiskAlarm.objects.select_related("account", "group"), self.staff.reach)
        is_open = flag_of(request, "open")
        if is_open is not None:
            rows = rows.filter(cleared_at__isnull=is_open)
        return paged(self, request, rows, record_views.alarm_view)


class SweepsView(StaffView):
    """Runs of the sweep."""

    rights = {"GET": "risk.view_sweeprun"}

    @extend_schema(
        operation_id="admin_risk_sweeps",
        parameters=PAGES,
        responses=openapi.responses(200, openapi.page(SweepOut), BAD_QUERY, FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """List the runs of the sweep, newest first."""
        shown = partial(record_views.sweep_view, reach=self.staff.reach)
        return paged(self, request, SweepRun.objects.all(), shown)


class MonitorView(StaffView):
    """The margin monitor."""

    rights = {"GET": "risk.view_monitorstatus"}

    @extend_schema(
        operation_id="admin_risk_monitor",
        responses=openapi.responses(200, openapi.of(MonitorsOut), FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """Say how each shard of the margin monitor is."""
        shards = MonitorStatus.objects.all()
        rows = [record_views.monitor_view(row, reach=self.staff.reach) for row in shards]
        return Response({"results": rows, "next": None})
