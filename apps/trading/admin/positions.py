"""
The page of open positions, valued at the present prices. They change through actions, each one service call.
"""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.enums import ActionVariant

from apps.trading.admin.commands import closing, closing_by, filled, modifying_position, reversing
from apps.trading.admin.common import TicketAdmin, told
from apps.trading.admin.dry_runs import dry_run_of
from apps.trading.admin.orders import deals_of_position
from apps.trading.forms import CloseByForm, PartialCloseForm, PositionChangeForm, ReverseForm
from apps.trading.models import Position
from apps.trading.permissions import CLOSE_POSITION, MODIFY_POSITION, REVERSE_POSITION
from apps.trading.selectors.valued import value
from apps.trading.services import executor, reversals
from apps.trading.services.orders import accepted
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.admin_display import amount, instant, number, price, stored_values
from rtx.kernel.admin_filters import PeriodFilter, ReachableGroupFilter, ReferenceFilter


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
        ("symbol", ReferenceFilter),
        ("side", ChoicesDropdownFilter),
        ("account__group", ReachableGroupFilter),
        ("opened_at", PeriodFilter),
    ]
    search_help_text = "Ticket, account or symbol"
    actions = ["close_at_market"]
    actions_detail = [
        "modify",
        "reverse",
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
        needs_recent_login=True,
        preview=dry_run_of(closing),
    )
    def close_at_market(self, position: Position, operation: Operation) -> str:
        """Close one position; the same submission again finds the first outcome."""
        outcome = executor.run(closing(position, operation))
        return f"closed by order #{filled(outcome)['id']}"

    @operator_action(
        "Modify",
        permission=MODIFY_POSITION,
        warning="Changes the client's position at once. An emptied value is removed.",
        icon="edit",
        form=PositionChangeForm,
        variant=ActionVariant.DEFAULT,
        runs_commands=True,
        needs_recent_login=True,
        preview=dry_run_of(modifying_position),
    )
    def modify(self, position: Position, operation: Operation) -> str:
        """Change stop loss, take profit or trailing distance."""
        accepted(executor.run(modifying_position(position, operation)))
        return told(operation.values)

    @operator_action(
        "Close some lots",
        permission=CLOSE_POSITION,
        warning="These lots are closed at the client's present price. This cannot be undone.",
        icon="content_cut",
        form=PartialCloseForm,
        runs_commands=True,
        needs_recent_login=True,
        preview=dry_run_of(closing),
    )
    def close_part(self, position: Position, operation: Operation) -> str:
        """Close some lots at the market."""
        order = filled(executor.run(closing(position, operation)))
        return f"{order['filled_volume']} lots closed by order #{order['id']}"

    @operator_action(
        "Close by opposite",
        permission=CLOSE_POSITION,
        warning="The smaller volume of both positions leaves, without a spread. This cannot be undone.",
        icon="swap_horiz",
        form=CloseByForm,
        runs_commands=True,
        needs_recent_login=True,
        preview=dry_run_of(closing_by),
    )
    def close_by(self, position: Position, operation: Operation) -> str:
        """Close one position by an opposite one."""
        order = filled(executor.run(closing_by(position, operation)))
        return f"{order['filled_volume']} lots closed by #{operation.values['opposite_id']}"

    @operator_action(
        "Reverse",
        permission=REVERSE_POSITION,
        warning="Asks a second person to turn the position round. It happens when they approve, at the "
        "client's price of that moment; stop loss, take profit and trailing stop end with the old side.",
        icon="swap_vert",
        form=ReverseForm,
        variant=ActionVariant.WARNING,
        runs_commands=True,  # asking for it writes its own entry into the staff log
        needs_recent_login=True,
        preview=dry_run_of(reversing),
    )
    def reverse(self, position: Position, operation: Operation) -> str:
        """Ask for the reversal of one position."""
        asked = reversals.ask(
            position_id=position.pk,
            deviation=operation.values["deviation"],
            actor=operation.actor,
            user_id=operation.actor.user_id or 0,
            key=operation.request_key.hex,
        )
        return f"waits for a second person (approval {asked['approval']})"

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
        return stored_values(json.loads(position.terms))
