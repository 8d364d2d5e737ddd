"""Admin REST of the audit: the staff log, the integrity of the sealed logs, approvals and their decisions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.staff import FORBIDDEN, Staff, StaffView
from apps.audit.models import Approval, StaffAction
from apps.audit.selectors import integrity, records
from apps.audit.services import approvals, requests
from apps.audit.services.approvals import ApprovalNotFound
from apps.audit.tasks import start_check
from apps.console.api.audit_outputs import (
    ApprovalOut,
    DecisionIn,
    IntegrityCheckOut,
    IntegrityOut,
    StaffActionOut,
    action_view,
    approval_view,
)
from apps.risk.api.controls import REQUIRED_KEY, key_of
from apps.risk.api.queries import ACCOUNT, PAGES, PERIOD, account_id_of, period_of
from apps.trading.api.queries import integer
from rtx.kernel import openapi
from rtx.kernel.errors import Invalid
from rtx.kernel.rest import CursorPagination

DECIDE, VERIFY = "audit.decide_approval", "audit.verify_checkpoint"
TEXT_MAX = 80
BAD_QUERY = openapi.error(400, "invalid")
NO_ACCOUNT = openapi.error(404, "account_not_found")
STAFF_LOG_FILTERS = [
    ACCOUNT,
    OpenApiParameter("user", int, description="Only what this member of staff did (user id)."),
    OpenApiParameter("operation", str, description="Only this operation, such as trading.close_position."),
    OpenApiParameter("outcome", str, enum=StaffAction.Outcome.values, description="Only these."),
    OpenApiParameter("request_id", str, description="Only what this request did."),
    *PERIOD,
]
APPROVAL_FILTERS = [
    ACCOUNT,
    OpenApiParameter("status", str, enum=Approval.Status.values, description="Only these."),
    OpenApiParameter("kind", str, description="Only this kind, such as funds.post."),
]
DECIDED = openapi.responses(
    200,
    openapi.of(ApprovalOut),
    openapi.error(400, "invalid", "malformed_json"),
    openapi.error(401, "not_authenticated", "invalid_token", "reauthentication_required"),
    openapi.error(403, "forbidden", "second_person_needed", "second_person_not_independent"),
    openapi.error(404, "approval_not_found"),
    openapi.error(409, "approval_closed", "maker_not_entitled", "idempotency_key_reused"),
)


class ApprovalPages(CursorPagination):
    """Pages by the time of asking: approvals have no running number."""

    ordering = "-created_at"


def _text(request: Request, name: str) -> str | None:
    given = request.query_params.get(name)
    if given is not None and ("\0" in given or len(given) > TEXT_MAX):
        raise Invalid(f"{name} is not a name.", errors={name: [f"at most {TEXT_MAX} characters"]})
    return given


def _one_of(request: Request, name: str, known: list[str]) -> str | None:
    given = request.query_params.get(name)
    if given is not None and given not in known:
        raise Invalid(f"{name} is unknown.", errors={name: [f"one of {', '.join(known)}"]})
    return given


def _filtered(rows: QuerySet[Any], wanted: dict[str, Any]) -> QuerySet[Any]:
    return rows.filter(**{name: value for name, value in wanted.items() if value is not None})


class StaffLogView(StaffView):
    """What staff did."""

    rights = {"GET": "audit.view_staffaction"}

    @extend_schema(
        operation_id="admin_audit",
        parameters=[*STAFF_LOG_FILTERS, *PAGES],
        responses=openapi.responses(200, openapi.page(StaffActionOut), BAD_QUERY, FORBIDDEN, NO_ACCOUNT),
    )
    def get(self, request: Request) -> Response:
        """
        List the staff log, newest first: what lies within reach, and one's own where it lies in no group.
        """
        period = period_of(request)
        wanted = {
            "account_id": account_id_of(request, self.staff),
            "user_id": integer(request, "user"),
            "operation": _text(request, "operation"),
            "outcome": _one_of(request, "outcome", StaffAction.Outcome.values),
            "request_id": _text(request, "request_id"),
            "at__gte": period.since,
            "at__lt": period.until,
        }
        visible = records.actions(reach=self.staff.reach, user_id=self.staff.user.pk)
        pages = CursorPagination()
        found = pages.paginate_queryset(_filtered(visible, wanted), request, view=self)
        return pages.get_paginated_response([action_view(row) for row in found or []])


class IntegrityView(StaffView):
    """Whether the logs are what was sealed."""

    rights = {"GET": "audit.view_integritycheck", "POST": VERIFY}

    @extend_schema(
        operation_id="admin_audit_verify",
        responses=openapi.responses(200, openapi.of(IntegrityOut), FORBIDDEN),
    )
    def get(self, request: Request) -> Response:
        """Return how far each log is sealed, and the newest check with what it found. Starts nothing."""
        return Response(integrity.state())

    @extend_schema(
        operation_id="admin_audit_verify_now",
        request=None,
        responses=openapi.responses(202, openapi.of(IntegrityCheckOut), FORBIDDEN),
    )
    def post(self, request: Request) -> Response:
        """Have the logs verified by a worker; while that is being done, return the check that runs."""
        check, _ = start_check(actor=self.staff.acting())
        return Response(integrity.check(check), status=202)


class ApprovalsView(StaffView):
    """What waits for a second person, and what was decided."""

    rights = {"GET": "audit.view_approval"}

    @extend_schema(
        operation_id="admin_approvals",
        parameters=[*APPROVAL_FILTERS, *PAGES],
        responses=openapi.responses(200, openapi.page(ApprovalOut), BAD_QUERY, FORBIDDEN, NO_ACCOUNT),
    )
    def get(self, request: Request) -> Response:
        """List approvals within reach and one's own, newest first."""
        wanted = {
            "account_id": account_id_of(request, self.staff),
            "status": _one_of(request, "status", Approval.Status.values),
            "kind": _text(request, "kind"),
        }
        visible = records.approvals(reach=self.staff.reach, user_id=self.staff.user.pk)
        pages = ApprovalPages()
        found = pages.paginate_queryset(_filtered(visible, wanted), request, view=self)
        return pages.get_paginated_response([approval_view(row) for row in found or []])


class _DecisionView(StaffView):
    fresh = {"POST"}

    def decide(self, request: Request, approval_id: UUID, act: Callable[..., Approval]) -> Response:
        """Decide one approval; the same request again is answered by what came of it."""
        given = DecisionIn.validated(request.data)
        key = key_of(request)
        found = _visible(self.staff, approval_id)
        self.staff.require(DECIDE)
        content = {"approval": str(approval_id), "decision": act.__name__, "reason": given.reason}
        requests.once(user_id=self.staff.user.pk, key=key, content=content, act=dict)
        done = act(approval_id=found.pk, actor=self.staff.acting(given.reason), may=self.staff.may)
        return Response(approval_view(done))


def _visible(staff: Staff, approval_id: UUID) -> Approval:
    """
    Return an approval within reach.

    :raises ApprovalNotFound: unknown, or outside.
    """
    found = records.approvals(reach=staff.reach, user_id=staff.user.pk).filter(pk=approval_id).first()
    if found is None:
        raise ApprovalNotFound
    return found


class ApproveView(_DecisionView):
    """Letting something happen."""

    @extend_schema(
        operation_id="admin_approval_approve",
        parameters=[REQUIRED_KEY],
        request=openapi.body(DecisionIn),
        responses=DECIDED,
    )
    def post(self, request: Request, approval_id: UUID) -> Response:
        """Approve: carried out at once, exactly as asked for; never by whoever asked. Safe to repeat."""
        return self.decide(request, approval_id, approvals.approve)


class RejectView(_DecisionView):
    """Refusing to let something happen."""

    @extend_schema(
        operation_id="admin_approval_reject",
        parameters=[REQUIRED_KEY],
        request=openapi.body(DecisionIn),
        responses=DECIDED,
    )
    def post(self, request: Request, approval_id: UUID) -> Response:
        """Reject. Never by whoever asked. Safe to repeat."""
        return self.decide(request, approval_id, approvals.reject)
