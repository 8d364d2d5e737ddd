"""Dealing for a client from the page of an account: new orders with the live price, closing everything."""

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import URLPattern, path
from unfold.enums import ActionVariant

from apps.accounts.models import TradingAccount
from apps.trading.admin.commands import closing_all, filled, placing
from apps.trading.admin.dry_runs import dry_run_of
from apps.trading.forms import CloseAllForm, PlaceOrderForm
from apps.trading.permissions import CLOSE_POSITION, PLACE_ORDER
from apps.trading.selectors import offers
from apps.trading.services import executor
from rtx.kernel.admin import OperatedModelAdmin
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.recent_login import passive

DEALING_ACTIONS = ["place_order", "close_all"]
PRICE_PAGE = "accounts_tradingaccount_price"


class AccountDealing(OperatedModelAdmin):
    """Adds what a dealer does for a whole account to its page."""

    def get_urls(self) -> list[URLPattern]:
        """Put the live price in front of the page's own addresses."""
        live = path("<path:object_id>/price/", self.admin_site.admin_view(self.price_view), name=PRICE_PAGE)
        return [live, *super().get_urls()]

    @passive
    def price_view(self, request: HttpRequest, object_id: str) -> JsonResponse:
        """Return the present price of one symbol as the account's client sees it; empty: there is none."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        account: TradingAccount | None = self.get_object(request, object_id)
        if account is None:
            raise Http404("there is no such account")
        shown = offers.quotes(group_id=account.group_id, names=[request.GET.get("symbol", "")])
        return JsonResponse(shown[0] if shown else {}, headers={"Cache-Control": "no-store"})

    @operator_action(
        "New order",
        permission=PLACE_ORDER,
        icon="add",
        form=PlaceOrderForm,
        variant=ActionVariant.PRIMARY,
        runs_commands=True,
        needs_recent_login=True,
        preview=dry_run_of(placing),
    )
    def place_order(self, account: TradingAccount, operation: Operation) -> str:
        """Place an order for the client; the same submission again finds the first outcome."""
        order = filled(executor.run(placing(account, operation)))
        done = f"filled at {order['average_price']}" if order["deals"] else order["status"]
        return f"order #{order['id']} {order['side']} {order['volume']} {order['symbol']}: {done}"

    @operator_action(
        "Close all positions",
        permission=CLOSE_POSITION,
        warning="Every position is closed at the client's present price. This cannot be undone.",
        icon="close",
        form=CloseAllForm,
        runs_commands=True,
        needs_recent_login=True,
        preview=dry_run_of(closing_all),
    )
    def close_all(self, account: TradingAccount, operation: Operation) -> str:
        """Close all positions of the account, or of one symbol; what stays open is named."""
        outcome = executor.run(closing_all(account, operation))
        closed, failed = outcome.payload["orders"], outcome.payload["failed"]
        said = f"{len(closed)} positions closed"
        if failed:
            left = ", ".join(f"#{one['position_id']} ({one['reject_reason']})" for one in failed)
            said += f", still open: {left}"
        return said
