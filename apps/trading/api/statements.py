"""Trader REST: statements of an account, as JSON, CSV or PDF."""

from typing import Any, Literal

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import Struct
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.accounts.models import TradingAccount
from apps.accounts.selectors.accounts import owned
from apps.trading.adapters.statement_files import Format, statement_file
from apps.trading.api.queries import caller_id, integer
from apps.trading.domain.statements import PERIOD_DAYS_MAX, Period
from rtx.kernel import clock, openapi
from rtx.kernel.errors import Invalid
from rtx.kernel.limits import TokenBucket
from rtx.kernel.rest import UserThrottle

Text = str
Amount = str | None
END = f"Up to this instant; a date means the end of that day. At most {PERIOD_DAYS_MAX} days after `from`."
FORMATS = tuple(str(one) for one in Format)


EXAMPLE = {
    "broker": "RTX",
    "account": {
        "login": 100001,
        "holder": "Zoë Novák",
        "group": "standard",
        "currency": "USD",
        "position_mode": "hedging",
        "leverage": 100,
    },
    "period": {"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z"},
    "generated_at": "2026-11-21T08:00:00Z",
    "opening": {"balance": "10000.00", "credit": "0.00"},
    "closing": {
        "at": "2026-11-21T00:00:00Z",
        "balance": "10012.30",
        "credit": "0.00",
        "margin": "0.00",
        "profit": "0.00",
        "equity": "10012.30",
        "free_margin": "10012.30",
    },
    "totals": {
        "deals": 1,
        "volume": "0.1",
        "profit": "13.00",
        "commission": "-0.70",
        "swap": "0.00",
        "net": "12.30",
        "swap_charged": "0.00",
        "fees_charged": "0.00",
    },
    "symbols": [],
    "deals": [],
    "movements": [],
    "swaps": [],
    "positions": [],
    "orders": [],
    "curve": [
        {"time": "2026-11-20T00:00:00Z", "balance": "10000.00", "equity": "10000.00"},
        {"time": "2026-11-21T00:00:00Z", "balance": "10012.30", "equity": "10012.30"},
    ],
}


class StatementAccount(Struct):
    """Whose statement it is."""

    login: int
    holder: str
    group: str
    currency: str
    position_mode: Literal["hedging", "netting"]
    leverage: int


class StatementMoney(Struct):
    """What stood at the beginning."""

    balance: Text
    credit: Text


class StatementClosing(Struct):
    """What stood at the end; null where no quote is stored for that instant."""

    at: str
    balance: Text
    credit: Text
    margin: Text
    profit: Amount
    equity: Amount
    free_margin: Amount


class StatementTotals(Struct):
    """
    Sums of a period. `swap` is what was booked, `swap_charged` and `fees_charged` what its nights have cost;
    sums of `deposits`, `withdrawals`, ... are there when there were any.
    """

    deals: int
    volume: Text
    profit: Text
    commission: Text
    swap: Text
    net: Text
    swap_charged: Text
    fees_charged: Text


class StatementSymbol(StatementTotals):
    """Sums of one symbol."""

    symbol: str = ""


class StatementDeal(Struct):
    """A deal; `balance` is what stood after it."""

    seq: int
    at: str
    id: int
    order_id: int
    position_id: int
    client_order_id: str
    reason: str
    symbol: str
    entry: Literal["in", "out", "inout", "out_by"]
    side: Literal["buy", "sell"]
    volume: Text
    price: Text
    profit: Text
    commission: Text
    swap: Text
    balance: Text
    comment: str


class StatementMovement(Struct):
    """Money or credit that came or went without a deal."""

    seq: int
    at: str
    kind: Literal["deposit", "withdrawal", "adjustment", "credit", "compensation"]
    amount: Text
    reference: str
    comment: str
    balance: Text
    credit: Text


class StatementSwap(Struct):
    """One night of a position; it is booked with the close, unless `is_settled`."""

    seq: int
    at: str
    date: str
    position_id: int
    symbol: str
    kind: Literal["swap", "admin_fee"]
    side: Literal["buy", "sell"]
    volume: Text
    multiplier: int
    amount: Text
    is_settled: bool
    balance: Text


class StatementPoint(Struct):
    """The account at one instant; equity is null where no quote is stored."""

    time: str
    balance: Text
    equity: Amount


@openapi.example(EXAMPLE)
class StatementOut(Struct):
    """A statement. Opening balance, all lines and closing balance meet to the cent."""

    broker: str
    account: StatementAccount
    period: dict[str, str]
    generated_at: str
    opening: StatementMoney
    closing: StatementClosing
    totals: StatementTotals
    symbols: list[StatementSymbol]
    deals: list[StatementDeal]
    movements: list[StatementMovement]
    swaps: list[StatementSwap]
    positions: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    curve: list[StatementPoint]


CSV_EXAMPLE = (
    "record,time_utc,seq,ticket,order,position,symbol,kind,side,volume,price,profit,commission,swap,amount,"
    "balance,credit,equity,reference,text\r\n"
    "opening,2026-11-20 00:00:00.000,,,,,,,,,,,,,,10000.00,0,,,\r\n"
)


class StatementThrottle(UserThrottle):
    """Limits each user's statements apart from other requests: each one replays the account's journal."""

    _bucket = TokenBucket(rate=settings.RATE_STATEMENTS_PER_S, burst=settings.RATE_STATEMENTS_BURST)


class StatementView(APIView):
    """Statements of the caller's accounts."""

    throttle_classes = (UserThrottle, StatementThrottle)

    @extend_schema(
        operation_id="get_statement",
        parameters=[
            OpenApiParameter(
                "account", int, required=True, description="Login of one of the caller's accounts."
            ),
            OpenApiParameter(
                "from",
                str,
                required=True,
                description="Instant (RFC 3339) or date (UTC).",
                examples=[OpenApiExample("A date", value="2026-11-20")],
            ),
            OpenApiParameter(
                "to",
                str,
                required=True,
                description=END,
                examples=[OpenApiExample("The end of a date", value="2026-11-20")],
            ),
            OpenApiParameter("format", str, enum=FORMATS, default="json"),
        ],
        responses={
            **openapi.responses(
                200,
                openapi.of(StatementOut),
                openapi.error(400, "invalid", "invalid_period"),
                openapi.error(404, "account_not_found"),
            ),
            (200, "text/csv"): OpenApiResponse(
                {"type": "string"}, "One table: RFC 4180, UTF-8 with a byte order mark, safe in spreadsheets"
            ),
            (200, "application/pdf"): OpenApiResponse({"type": "string", "format": "binary"}, "For people"),
        },
        examples=[
            OpenApiExample(
                "CSV", value=CSV_EXAMPLE, response_only=True, media_type="text/csv", status_codes=["200"]
            )
        ],
    )
    def get(self, request: Request) -> HttpResponse:
        """
        Return the statement of any period: balances, deals, swaps, commissions, open positions, equity curve.

        What it shows equals the journal to the cent. Open positions are valued at the quotes stored then.
        Statements have a rate limit of their own (one a second, five at once); `busy`: no PDF in time.
        """
        login = integer(request, "account")
        if login is None:
            raise Invalid("account is missing.", errors={"account": ["is required"]})
        format_ = _format(request)
        period = Period.read(request.query_params.get("from"), request.query_params.get("to"))
        account = owned(user_id=caller_id(request), login=login)
        found = TradingAccount.objects.select_related("client", "group").get(pk=account.id)
        made = statement_file(found, period=period, format=format_, now=clock.now(), shows_holder=True)
        answer = HttpResponse(made.body, content_type=made.content_type)
        answer["Cache-Control"] = "no-store"
        kind = "inline" if format_ is Format.JSON else "attachment"
        answer["Content-Disposition"] = f'{kind}; filename="{made.name}"'
        return answer


def _format(request: Request) -> Format:
    given = request.query_params.get("format", Format.JSON.value)
    if given not in FORMATS:
        raise Invalid(f"format is one of {', '.join(FORMATS)}.", errors={"format": ["unknown"]})
    return Format(given)
