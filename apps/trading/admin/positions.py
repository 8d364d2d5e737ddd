"""
The page of open positions, valued at the present prices. They change through actions, each one service call.
"""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter, RelatedDropdownFilter
from unfold.enums import ActionVariant

from apps.trading.admin.common import TicketAdmin, staff_key, told
from apps.trading.admin.orders import deals_of_position
from apps.trading.domain import orders as domain
from apps.trading.domain import profit
from apps.trading.domain.commands import Outcome
from apps.trading.forms import CloseByForm, PartialCloseForm, PositionChangeForm, position_changes
from apps.trading.models import Position
from apps.trading.selectors.markets import markets
from apps.trading.services import positions
from rtx.kernel import clock
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import amount, instant, number, pretty_json, price
from rtx.kernel.admin_filters import ReachableGroupFilter
from rtx.kernel.errors import Conflict

CLOSE_POSITION = "trading.close_position"
MODIFY_POSITION = "trading.modify_position"


def value(rows: Iterable[Position]) -> None:
    """
    Note on each row its present closing price and floating profit, all at one instant; None without a price.
    """
    found = list(rows)
    if not found:
        return
    views = markets(now=clock.now())
    for row in found:
        market = views.of_group(row.account.group_id)
        held = as_domain(row)
        quote = market.client(row.symbol.name)
        shown: Any = row
        shown.closing_price = None if quote is None else quote.bid if row.side == "buy" else quote.ask
        shown.floating = profit.floating(held, market=market, currency=row.account.currency)


def as_domain(row: Position) -> domain.Position:
    """Return the row as the book sees it."""
    return domain.Position(
        id=row.pk,
        symbol=row.symbol.name,
        side=domain.Side(row.side),
        volume=row.volume,
        cost=row.cost,
        margin_rate=row.margin_rate,
        terms=domain.ContractTerms.decoded(row.terms),
        book=row.book,
        last_deal_id=row.last_deal_id,
        opened_at=row.opened_at,
        stop_loss=row.stop_loss,
        take_profit=row.take_profit,
        trailing_points=row.trailing_points,
        swap=row.swap,
        commission=row.commission,
    )


class CloseRefused(Conflict):
    """The book refused to close a position; the journal and the staff log tell of it."""

    is_logged = True


def filled(outcome: Outcome) -> dict[str, Any]:
    """
    Return the closing order of an outcome, the first one when it came again.

    :raises CloseRefused: the book refused to close.
    """
    order: dict[str, Any] = outcome.payload["order"]
    reason = order["reject_reason"]
    if reason:
        raise CloseRefused(f"the book refused to close it ({reason})", code=reason)
    return order


@admin.register(Position)
class PositionAdmin(TicketAdmin):
    """Positions change only through actions, each one service call."""

    list_display = [
        "ticket",
        "account_link",
        "symbol_name",
        "side_",
        "lots",
        "open_",
        "current",
        "profit_",
        "swap_",
        "book_",
        "opened",
    ]
    list_filter = [
        ("symbol", RelatedDropdownFilter),
        ("side", ChoicesDropdownFilter),
        ("account__group", ReachableGroupFilter),
        ("opened_at", RangeDateTimeFilter),
    ]
    search_help_text = "Ticket, account or symbol"
    actions = ["close_at_market"]
    actions_detail = [
        "modify",
        {"title": "Close in part", "icon": "content_cut", "items": ["close_part", "close_by"]},
        "close_at_market",
    ]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("ticket", "account_link", "symbol_name"),
                    ("side_", "lots", "book_"),
                    ("open_", "current", "profit_"),
                    ("stop_loss", "take_profit", "trailing_points"),
                    ("swap_", "commission_"),
                    ("opened", "updated", "deals_link"),
                ]
            },
        ),
        (
            "Margin and profit as of the last deal",
            {"fields": [("cost", "margin_rate", "last_deal_id"), "terms_"]},
        ),
    ]
    readonly_fields = [
        "ticket",
        "account_link",
        "symbol_name",
        "side_",
        "lots",
        "book_",
        "open_",
        "current",
        "profit_",
        "swap_",
        "commission_",
        "opened",
        "updated",
        "deals_link",
        "terms_",
    ]

    @operator_action(
        "Close at market",
        permission=CLOSE_POSITION,
        warning="Each position is closed in full at the client's present price. This cannot be undone.",
        icon="close",
        runs_commands=True,
    )
    def close_at_market(self, position: Position, operation: Operation) -> str:
        """Close one position; the same submission again finds the first outcome."""
        outcome = positions.close(
            account_id=position.account_id,
            position_id=position.pk,
            client_order_id=staff_key(operation, position),
            actor=operation.actor,
        )
        return f"closed by order #{filled(outcome)['id']}"

    @operator_action(
        "Modify",
        permission=MODIFY_POSITION,
        warning="Changes the client's position at once. An emptied value is removed.",
        icon="edit",
        form=PositionChangeForm,
        variant=ActionVariant.DEFAULT,
        runs_commands=True,
    )
    def modify(self, position: Position, operation: Operation) -> str:
        """Change stop loss, take profit or trailing distance."""
        positions.modify(
            account_id=position.account_id,
            position_id=position.pk,
            changes=position_changes(operation.values),
            key=staff_key(operation, position),
            actor=operation.actor,
        )
        return told(operation.values)

    @operator_action(
        "Close some lots",
        permission=CLOSE_POSITION,
        warning="These lots are closed at the client's present price. This cannot be undone.",
        icon="content_cut",
        form=PartialCloseForm,
        runs_commands=True,
    )
    def close_part(self, position: Position, operation: Operation) -> str:
        """Close some lots at the market."""
        outcome = positions.close(
            account_id=position.account_id,
            position_id=position.pk,
            volume=operation.values["volume"],
            client_order_id=staff_key(operation, position),
            actor=operation.actor,
        )
        order = filled(outcome)
        return f"{order['filled_volume']} lots closed by order #{order['id']}"

    @operator_action(
        "Close by opposite",
        permission=CLOSE_POSITION,
        warning="The smaller volume of both positions leaves, without a spread. This cannot be undone.",
        icon="swap_horiz",
        form=CloseByForm,
        runs_commands=True,
    )
    def close_by(self, position: Position, operation: Operation) -> str:
        """Close one position by an opposite one."""
        outcome = positions.close_by(
            account_id=position.account_id,
            position_id=position.pk,
            opposite_id=operation.values["opposite_id"],
            client_order_id=staff_key(operation, position),
            actor=operation.actor,
        )
        order = filled(outcome)
        return f"{order['filled_volume']} lots closed by #{operation.values['opposite_id']}"

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Value the rows of the page at one instant."""
        changelist = super().get_changelist_instance(request)
        value(changelist.result_list)
        return changelist

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Position | None:
        """Value the row that is shown."""
        row: Position | None = super().get_object(request, object_id, from_field)
        if row is not None:
            value([row])
        return row

    def get_queryset(self, request: HttpRequest) -> QuerySet[Position]:
        """Read account and symbol in the same statement."""
        return super().get_queryset(request).select_related("account", "symbol")

    @admin.display(description="Open price")
    def open_(self, position: Position) -> SafeString:
        """The average open price."""
        return price(position.open_price, position.symbol.digits)

    @admin.display(description="Current")
    def current(self, position: Any) -> SafeString:
        """The price at which it would close now."""
        shown = position.closing_price
        return number(None) if shown is None else price(shown, position.symbol.digits)

    @admin.display(description="Profit")
    def profit_(self, position: Any) -> SafeString:
        """The floating profit at the present price."""
        return amount(position.floating, position.account.currency, signed=True)

    @admin.display(description="Swap")
    def swap_(self, position: Position) -> SafeString:
        """The swap accrued."""
        return amount(position.swap, position.account.currency)

    @admin.display(description="Commission")
    def commission_(self, position: Position) -> SafeString:
        """The commission paid at the entry."""
        return amount(position.commission, position.account.currency)

    @admin.display(description="Opened (UTC)")
    def opened(self, position: Position) -> SafeString:
        """When it was opened."""
        return instant(position.opened_at)

    @admin.display(description="Updated (UTC)")
    def updated(self, position: Position) -> SafeString:
        """When it last changed."""
        return instant(position.updated_at)

    @admin.display(description="Deals")
    def deals_link(self, position: Position) -> SafeString:
        """A link to its deals."""
        return deals_of_position(position.pk)

    @admin.display(description="Contract terms")
    def terms_(self, position: Position) -> SafeString:
        """The terms that margin and profit follow."""
        return pretty_json(json.loads(position.terms))
