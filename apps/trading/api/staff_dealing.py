"""What the dealing calls for staff share: one command per request, or its dry run. Knows no single call."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.staff import REQUIRED_KEY, StaffView, key_of
from apps.audit.services.requests import KeyReused
from apps.trading.api.staff_outputs import PreviewOut, preview_view
from apps.trading.domain.commands import Command, Outcome
from apps.trading.services import executor, previews
from apps.trading.services.batch import ClientOrderIdReused
from rtx.kernel import openapi
from rtx.kernel.errors import Invalid

DRY_RUN = OpenApiParameter(
    "dry_run", bool, description="true: tell what would happen, with the money before and after; do nothing."
)
WRITES = [REQUIRED_KEY, DRY_RUN]
KEY_REUSED = "idempotency_key_reused"


def is_dry_run(request: Request) -> bool:
    """
    Tell whether only the effect is asked for.

    :raises Invalid: it is neither true nor false.
    """
    given = request.query_params.get("dry_run", "false")
    if given not in {"true", "false"}:
        raise Invalid("dry_run is neither true nor false.", errors={"dry_run": ["true or false"]})
    return given == "true"


def or_preview(kind: Any) -> dict[str, Any]:
    """Return the schema of an answer that is a dry run when one was asked for."""
    return {"oneOf": [openapi.of(kind), openapi.of(PreviewOut)]}


class DealingView(StaffView):
    """Base of the calls that run a command on an account within reach."""

    fresh = frozenset({"POST", "PUT", "DELETE"})

    def dealt(
        self,
        request: Request,
        build: Callable[[str], Command],
        answer: Callable[[Outcome], Any],
        *,
        status: int = 200,
    ) -> Response:
        """
        Run the command that `build(client_order_id)` makes, once per user and key, or tell what it would do.

        :raises KeyReused: the key named another request.
        :raises RtxError: as the executor does.
        """
        is_dry = is_dry_run(request)
        has_key = not is_dry or "Idempotency-Key" in request.headers
        command_id = self._command_id(key_of(request)) if has_key else uuid4()
        command = replace(build(f"staff-{command_id.hex}"), command_id=command_id)
        try:
            if is_dry:
                return Response(preview_view(previews.preview(command)))
            return Response(answer(executor.run(command)), status=status)
        except ClientOrderIdReused:
            raise KeyReused("This key named a request with other content before.") from None

    def _command_id(self, key: str) -> UUID:
        return uuid5(NAMESPACE_OID, f"rtx:staff:{self.staff.user.pk}:{key}")
