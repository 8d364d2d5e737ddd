"""
What staff fill in to change or close for a client: the values of one order or position, and a reason. Form
only: whether it is allowed is the account book's business.
"""

from decimal import Decimal
from typing import Any, cast

from django import forms
from django.conf import settings
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.models import TradingAccount
from apps.trading.domain.orders import TimeInForce
from apps.trading.models import Order, Position, Side
from apps.trading.selectors import offers
from apps.trading.services.orders import OrderChanges, misplaced
from apps.trading.services.positions import PositionChanges
from rtx.kernel.admin_actions import OperatorForm
from rtx.kernel.money import plain

DIGITS_MAX = 28
DECIMALS_MAX = 10
INSTANT = "%Y-%m-%dT%H:%M:%S"
LIFETIMES = [(kind.value, label) for kind, label in zip(TimeInForce, Order.TimeInForce.labels, strict=True)]
WORKING_LIFETIMES = LIFETIMES[:3]  # a working order cannot become IOC or FOK


class ExactField(forms.DecimalField):
    """A positive number, shown without the zeros that fill it up."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_digits=DIGITS_MAX,
            decimal_places=DECIMALS_MAX,
            min_value=Decimal("0.0000000001"),
            widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any", "inputmode": "decimal"}),
            **options,
        )

    def prepare_value(self, value: Any) -> Any:
        """Return the text that stands in the field."""
        return plain(value) if isinstance(value, Decimal) else value


class ChangeForm(OperatorForm):
    """
    Values of a row, of which those that were edited shall change; an emptied one is removed.

    Edited is what differs from what the form showed, which it carries along: the row may move while the form
    is open (a trailing stop does), and what nobody touched must stay where it went.
    """

    NAMES: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.NAMES:
            self.fields[name].show_hidden_initial = True

    @classmethod
    def initial_of(cls, row: Any) -> dict[str, Any]:
        """Show the values as they are."""
        return {name: getattr(row, name) for name in cls.NAMES}

    def clean(self) -> dict[str, Any]:
        """Refuse a form in which nothing was edited, or in which an edited value has moved meanwhile."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if any(self.add_initial_prefix(name) not in self.data for name in self._names):
            raise forms.ValidationError("The form does not tell what it showed. Open it again.")
        if not self.errors and not self.values:
            raise forms.ValidationError("Nothing was changed.")
        moved = self._moved()
        for name in self.values:
            if name in moved and moved[name] != cleaned[name]:
                self.add_error(name, f"It has meanwhile become {_said(moved[name])}. Is this still right?")
                self._show_again(name)
        return cleaned

    @property
    def values(self) -> dict[str, Any]:
        """What was edited."""
        given, edited = self.cleaned_data, self.changed_data
        return {name: given[name] for name in self._names if name in given and name in edited}

    @property
    def notes(self) -> list[str]:
        """What moved while the form was open and was not edited."""
        return [
            f"{self.fields[name].label} had meanwhile become {_said(now)}: left as it is."
            for name, now in self._moved().items()
            if name not in self.changed_data
        ]

    @property
    def _names(self) -> list[str]:
        return [name for name in self.NAMES if name in self.fields]

    def _moved(self) -> dict[str, Any]:
        """Return the present values of what is no longer as the form showed it."""
        present = {} if self.row is None else type(self).initial_of(self.row)
        found = {}
        for name in self._names:
            field = self.fields[name]
            now = field.to_python(field.prepare_value(present.get(name)))
            if now != self._shown(name):
                found[name] = now
        return found

    def _shown(self, name: str) -> Any:
        """Return what the form says that it showed; a text that no field would take was never shown."""
        try:
            return self.fields[name].to_python(self.data.get(self.add_initial_prefix(name)))
        except forms.ValidationError:
            return None

    def _show_again(self, name: str) -> None:
        """Carry the present value along from now on: who sends the form again has seen it."""
        shown = self.fields[name].prepare_value(type(self).initial_of(self.row)[name])
        sent = dict(self.data.items())
        self.data = sent | {self.add_initial_prefix(name): "" if shown is None else str(shown)}


def _said(value: Any) -> str:
    return "empty" if value is None else plain(value) if isinstance(value, Decimal) else str(value)


def stop_fields() -> dict[str, forms.Field]:
    """Return the fields of stop loss, take profit and trailing distance; each may be empty."""
    return {
        "stop_loss": ExactField(required=False, label="Stop loss"),
        "take_profit": ExactField(required=False, label="Take profit"),
        "trailing_points": forms.IntegerField(
            required=False,
            min_value=1,
            max_value=1_000_000,
            label="Trailing stop",
            help_text="Points behind the market; empty: the stop stays where it is.",
            widget=UnfoldAdminIntegerFieldWidget(),
        ),
    }


class OrderChangeForm(ChangeForm):
    """A working order's price, volume, stops and expiry."""

    NAMES = (
        "price",
        "stop_limit_price",
        "volume",
        "stop_loss",
        "take_profit",
        "trailing_points",
        "time_in_force",
        "expires_at",
    )

    price = ExactField(label="Price")
    stop_limit_price = ExactField(
        label="Limit price", help_text="The limit that becomes active at the price."
    )
    volume = ExactField(label="Lots")
    stop_loss, take_profit, trailing_points = stop_fields().values()
    time_in_force = forms.ChoiceField(
        choices=WORKING_LIFETIMES, label="Time in force", widget=UnfoldAdminSelectWidget()
    )
    expires_at = forms.DateTimeField(
        required=False,
        label="Expires at (UTC)",
        help_text="Belongs to good till date.",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local", "step": "1"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.row is None or self.row.stop_limit_price is None:
            del self.fields["stop_limit_price"]

    @classmethod
    def initial_of(cls, row: Order) -> dict[str, Any]:
        """Show the values as they are; the browser's own field for an instant has its own form."""
        shown = super().initial_of(row)
        if row.expires_at is not None:
            shown["expires_at"] = row.expires_at.strftime(INSTANT)
        return shown

    @property
    def values(self) -> dict[str, Any]:
        """What was edited."""
        found = super().values
        if "time_in_force" in found:
            found["time_in_force"] = TimeInForce(found["time_in_force"])
        return found


class AccountLookupForm(forms.Form):
    """For whom an order is to be placed: a login within reach."""

    account = forms.IntegerField(
        min_value=1, max_value=10**15, label="Account", widget=UnfoldAdminIntegerFieldWidget()
    )

    def __init__(self, *args: Any, reach: frozenset[int] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reach = reach

    def clean_account(self) -> TradingAccount:
        """Return the account; one out of reach does not exist."""
        found = TradingAccount.objects.filter(login=self.cleaned_data["account"]).first()
        if found is None or (self._reach is not None and found.group_id not in self._reach):
            raise forms.ValidationError("There is no such account.")
        return found


class PlaceOrderForm(OperatorForm):
    """A new order for an account's client. What does not belong to the chosen type stays empty."""

    symbol = forms.ChoiceField(
        label="Symbol", widget=UnfoldAdminSelectWidget(attrs={"data-rtx-priced": "price/"})
    )
    side = forms.ChoiceField(choices=Side.choices, label="Side", widget=UnfoldAdminSelectWidget())
    type = forms.ChoiceField(
        choices=Order.Type.choices,
        label="Type",
        widget=UnfoldAdminSelectWidget(attrs={"data-rtx-order-type": ""}),
    )
    volume = ExactField(label="Lots")
    price = ExactField(
        required=False,
        label="Price",
        help_text="What a pending order waits for. A market order with a price is held to it.",
    )
    deviation = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=1_000_000,
        label="Deviation",
        help_text="Points by which the fill may be worse than the price.",
        widget=UnfoldAdminIntegerFieldWidget(attrs={"data-rtx-only": "market"}),
    )
    stop_limit_price = ExactField(
        required=False, label="Limit price", help_text="The limit that becomes active at the price."
    )
    stop_loss, take_profit, trailing_points = stop_fields().values()
    time_in_force = forms.ChoiceField(
        required=False,
        choices=[("", "–"), *LIFETIMES],
        label="Time in force",
        widget=UnfoldAdminSelectWidget(attrs={"data-rtx-only": "limit stop stop_limit"}),
    )
    expires_at = forms.DateTimeField(
        required=False,
        label="Expires at (UTC)",
        help_text="Belongs to good till date.",
        widget=UnfoldAdminTextInputWidget(
            attrs={
                "type": "datetime-local",
                "step": "1",
                "data-rtx-only": "limit stop stop_limit",
            }
        ),
    )
    comment = forms.CharField(
        required=False, max_length=64, label="Comment", widget=UnfoldAdminTextInputWidget()
    )

    class Media:
        js = ("trading/dealing.js",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [] if self.row is None else offers.names(group_id=self.row.group_id)
        cast(forms.ChoiceField, self.fields["symbol"]).choices = [(name, name) for name in offered]
        self.fields["stop_limit_price"].widget.attrs["data-rtx-only"] = "stop_limit"
        self.fields["trailing_points"].widget.attrs["data-rtx-only"] = "limit stop stop_limit"

    def clean(self) -> dict[str, Any]:
        """Refuse what does not belong to the type of order, at its field."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            for name, said in misplaced(self.values).items():
                self.add_error(name, said[0])
        return cleaned


class PositionChangeForm(ChangeForm):
    """A position's stop loss, take profit and trailing distance."""

    NAMES = ("stop_loss", "take_profit", "trailing_points")

    stop_loss, take_profit, trailing_points = stop_fields().values()


class PartialCloseForm(OperatorForm):
    """How much of a position shall be closed."""

    volume = ExactField(label="Lots to close")

    def clean_volume(self) -> Decimal:
        """Refuse more than is open; the rest is the book's business."""
        volume: Decimal = self.cleaned_data["volume"]
        if self.row is not None and volume > self.row.volume:
            raise forms.ValidationError(f"Only {plain(self.row.volume)} lots are open.")
        return volume


class ReverseForm(OperatorForm):
    """How far the price may move until the second person approves."""

    deviation = forms.IntegerField(
        min_value=0,
        max_value=1_000_000,
        label="Deviation (points)",
        help_text="The reversal is refused when the price has moved further, either way.",
        widget=UnfoldAdminIntegerFieldWidget(),
    )

    @classmethod
    def initial_of(cls, row: Any) -> dict[str, Any]:
        """Offer the house's usual deviation."""
        return {"deviation": settings.DEALING_DEVIATION_POINTS}


class CloseByForm(OperatorForm):
    """Which opposite position shall close this one."""

    opposite_id = forms.TypedChoiceField(
        coerce=int, label="Opposite position", widget=UnfoldAdminSelectWidget()
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.TypedChoiceField, self.fields["opposite_id"])
        field.choices = [] if self.row is None else opposites(self.row)
        if not field.choices:
            field.help_text = "The account holds no opposite position on this symbol."


class CloseAllForm(OperatorForm):
    """Everything, or one symbol."""

    symbol = forms.ChoiceField(required=False, label="Symbol", widget=UnfoldAdminSelectWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        held = [] if self.row is None else symbols_held(self.row.pk)
        field = cast(forms.ChoiceField, self.fields["symbol"])
        field.choices = [("", "All symbols"), *((name, name) for name in held)]


def opposites(position: Position) -> list[tuple[str, str]]:
    """Return the choices of positions that could close one, by age."""
    found = Position.objects.filter(account_id=position.account_id, symbol_id=position.symbol_id)
    found = found.exclude(side=position.side).select_related("symbol").order_by("pk")
    return [
        (str(row.pk), f"#{row.pk} {row.side} {plain(row.volume)} @ {plain(row.open_price)}") for row in found
    ]


def symbols_held(account_id: int) -> list[str]:
    """Return the symbols on which an account holds positions."""
    held = Position.objects.filter(account_id=account_id).order_by("symbol__name")
    return list(held.values_list("symbol__name", flat=True).distinct())


def order_changes(values: Any) -> OrderChanges:
    """Return what a filled-in form changes on an order."""
    return cast(OrderChanges, dict(values))


def position_changes(values: Any) -> PositionChanges:
    """Return what a filled-in form changes on a position."""
    return cast(PositionChanges, dict(values))
