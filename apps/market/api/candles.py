"""Trader REST: candles. Bid prices as the feed gave them, the same for every group."""

from datetime import datetime

from drf_spectacular.utils import OpenApiParameter, extend_schema
from msgspec import Struct
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.market.domain.candles import INTERVALS_MS
from apps.market.models import Candle
from apps.market.selectors import candles, symbols
from rtx.kernel import clock, openapi
from rtx.kernel.errors import Invalid, NotFound
from rtx.kernel.money import text
from rtx.kernel.rest import CursorPagination, instant_of


@openapi.example(
    {
        "time": "2026-01-05T10:00:00Z",
        "open": "1.10001",
        "high": "1.10020",
        "low": "1.09995",
        "close": "1.10013",
        "ticks": 61,
    }
)
class CandleOut(Struct):
    """One candle; decimals are strings, `ticks` is 0 when it came from a recording of bars."""

    time: str
    open: str
    high: str
    low: str
    close: str
    ticks: int


class CandlePages(CursorPagination):
    """Pages by opening time, newest first."""

    page_size = 500
    max_page_size = 2000
    ordering = "-opened_at"


class CandlesView(APIView):
    """Candles of one symbol."""

    @extend_schema(
        operation_id="list_candles",
        parameters=[
            OpenApiParameter("symbol", str, required=True),
            OpenApiParameter("interval", str, required=True, enum=list(INTERVALS_MS)),
            OpenApiParameter("from", datetime, description="Opened at or after this instant."),
            OpenApiParameter("to", datetime, description="Opened before this instant."),
            OpenApiParameter("limit", int, description="Candles per page, up to 2000."),
            OpenApiParameter("cursor", str),
        ],
        responses=openapi.responses(
            200,
            openapi.page(CandleOut),
            openapi.error(400, "invalid"),
            openapi.error(404, "symbol_not_found"),
        ),
    )
    def get(self, request: Request) -> Response:
        """List candles, newest first; the last one is the running one."""
        name, interval = request.query_params.get("symbol", ""), request.query_params.get("interval", "")
        if interval not in INTERVALS_MS:
            raise Invalid(f"interval is one of {', '.join(INTERVALS_MS)}.", errors={"interval": ["unknown"]})
        if not name:
            raise Invalid("symbol is missing.", errors={"symbol": ["is required"]})
        if not symbols.is_known(name):
            raise NotFound("No such symbol.", code="symbol_not_found")
        found = candles.candles_of(
            symbol=name,
            interval=interval,
            since=instant_of(request.query_params.get("from"), "from"),
            until=instant_of(request.query_params.get("to"), "to"),
        )
        pages = CandlePages()
        rows = pages.paginate_queryset(found, request, view=self) or []
        return pages.get_paginated_response([_shown(row) for row in rows])


def _shown(row: Candle) -> dict[str, str | int]:
    return {
        "time": clock.rfc3339(row.opened_at),
        "open": text(row.open),
        "high": text(row.high),
        "low": text(row.low),
        "close": text(row.close),
        "ticks": row.ticks,
    }
