"""What requests about fund operations share: the key, filters of lists. Read strictly."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from apps.funds.domain.operations import Status
from apps.funds.models import FundOperation
from apps.trading.api.queries import choice
from rtx.kernel.errors import Invalid

FILTERS = [
    OpenApiParameter("status", str, enum=[str(one) for one in Status], description="Only these."),
    OpenApiParameter("kind", str, enum=FundOperation.Kind.values, description="Only these."),
]


def filters_of(request: Request) -> dict[str, Any]:
    """
    Return which operations are wanted, as conditions of a query.

    :raises Invalid: a status or a kind that does not exist.
    """
    wanted = {"status": choice(request, "status", Status), "kind": _kind(request)}
    return {name: value for name, value in wanted.items() if value is not None}


def _kind(request: Request) -> str | None:
    given = request.query_params.get("kind")
    if given is not None and given not in FundOperation.Kind.values:
        raise Invalid("kind is unknown.", errors={"kind": [f"one of {', '.join(FundOperation.Kind.values)}"]})
    return given
