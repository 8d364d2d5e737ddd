"""Admin REST of accounts: one account valued now, and its group, leverage or status changed."""

from typing import Annotated, Any, Literal
from uuid import uuid4

from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.staff import FORBIDDEN
from apps.accounts.models import TradingAccount
from apps.trading.api.outputs import AccountOut
from apps.trading.api.staff_dealing import KEY_REUSED, WRITES, DealingView, or_preview
from apps.trading.api.staff_inputs import Reason
from apps.trading.domain.commands import ChangeAccount, Command, MoveAccount
from apps.trading.selectors import books
from rtx.kernel import openapi
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Invalid
from rtx.kernel.rest import Input

CHANGE_ACCOUNT = "accounts.change_tradingaccount"
MOVES = (
    "same_group",
    "group_inactive",
    "currency_differs",
    "position_mode_differs",
    "symbol_not_offered",
    "off_quotes",
    "would_stop_out",
)
Leverage = Annotated[int, Meta(ge=1, le=10_000)]


@openapi.example({"group": "professional", "leverage": 50, "reason": "Client qualified as professional"})
class AccountChangeIn(Input):
    """
    PUT /api/admin/account/{login}: another group (with a leverage, if wanted), or another leverage or status.

    `accepts_stop_out` moves an account that would be stopped out at once, or whose level is unknown.
    """

    reason: Reason
    group: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    leverage: Leverage | None = None
    status: Literal["active", "close_only", "disabled"] | None = None
    accepts_stop_out: bool = False


class StaffAccountView(DealingView):
    """One account of a client."""

    rights = {"GET": "accounts.view_tradingaccount"}

    @extend_schema(
        operation_id="admin_get_account",
        responses=openapi.responses(
            200, openapi.of(AccountOut), FORBIDDEN, openapi.error(404, "account_not_found")
        ),
    )
    def get(self, request: Request, login: int) -> Response:
        """Return one account, valued at the present prices."""
        return Response(books.account_views([self.staff.account(login).pk])[0])

    @extend_schema(
        operation_id="admin_change_account",
        parameters=WRITES,
        request=openapi.body(AccountChangeIn),
        responses=openapi.responses(
            200,
            or_preview(AccountOut),
            openapi.error(400, "invalid", "malformed_json", "invalid_leverage"),
            FORBIDDEN,
            openapi.error(404, "account_not_found", "group_not_found"),
            openapi.error(409, KEY_REUSED, *MOVES),
        ),
    )
    def put(self, request: Request, login: int) -> Response:
        """Change group, leverage or status; `?dry_run=true` tells the margin level before and after."""
        account = self.staff.account(login)
        self.staff.require(CHANGE_ACCOUNT)
        given = AccountChangeIn.validated(request.data)
        command = self._command(account, given, self.staff.acting(given.reason))
        return self.dealt(request, lambda _: command, lambda _: books.account_views([account.pk])[0])

    def _command(self, account: TradingAccount, given: AccountChangeIn, actor: Actor) -> Command:
        base: dict[str, Any] = {"account_id": account.pk, "command_id": uuid4(), "actor": actor}
        if given.group is not None:
            if given.status is not None:
                raise Invalid("A move changes no status.", errors={"status": ["belongs to no move"]})
            return MoveAccount(
                **base,
                group_id=self.staff.group(given.group).pk,
                leverage=given.leverage,
                accepts_stop_out=given.accepts_stop_out,
            )
        if given.leverage is None and given.status is None:
            raise Invalid("Nothing is to change.", errors={"group": ["or leverage, status is needed"]})
        if given.leverage is not None and given.leverage > account.group.leverage_max:
            raise Invalid(
                f"Leverage lies between 1 and {account.group.leverage_max}.", code="invalid_leverage"
            )
        return ChangeAccount(**base, leverage=given.leverage, status=given.status)
