"""
What staff fill in to move a client's money, and a group's fund policy. Form only: whether it can be booked
the account book decides, whether one person is enough the policy.
"""

from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import TradingAccount
from apps.funds.domain.operations import signed
from apps.funds.domain.policy import POSTED_BY_STAFF, is_looser
from apps.funds.models import FundPolicy
from apps.funds.selectors.policies import house_threshold
from rtx.kernel.admin import reachable_groups
from rtx.kernel.admin_actions import OperatorForm
from rtx.kernel.errors import RtxError
from rtx.kernel.staff_log import REASON_FIELD


class FundForm(OperatorForm):
    """One operation on one account."""

    kind: ClassVar[BalanceKind]
    hint: ClassVar[str] = ""

    amount = forms.DecimalField(
        max_digits=20,
        decimal_places=8,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any", "inputmode": "decimal"}),
    )
    reference = forms.CharField(
        max_length=64,
        widget=UnfoldAdminTextInputWidget(),
        help_text="What proves it outside: a bank reference, a ticket. Booked once per account.",
    )
    comment = forms.CharField(
        max_length=64,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Stands on the client's statement.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.row is not None:
            self.fields["amount"].label = f"Amount in {self.row.currency}"
        self.fields["amount"].help_text = self.hint

    def clean_amount(self) -> Decimal:
        """Return the amount as the client's balance sees it."""
        try:
            return signed(self.kind, self.cleaned_data["amount"], currency=self.row.currency)
        except RtxError as error:
            raise forms.ValidationError(error.detail) from None


class DepositForm(FundForm):
    """Money in."""

    kind = BalanceKind.DEPOSIT


class WithdrawForm(FundForm):
    """Money out."""

    kind = BalanceKind.WITHDRAWAL
    hint = "Without a sign. What margin or a loss needs cannot leave, neither can credit."


class AdjustForm(FundForm):
    """A correction."""

    kind = BalanceKind.ADJUSTMENT
    hint = "Negative: the client has less afterwards. It is booked against the house's own result."


class CreditForm(FundForm):
    """A bonus."""

    kind = BalanceKind.CREDIT
    hint = "Negative: credit is taken back. Credit carries positions and cannot be withdrawn."


class RejectForm(OperatorForm):
    """Why a request is refused, and what the client is told."""

    message = forms.CharField(
        max_length=200,
        required=False,
        label="Message for the client",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )


class NewOperationForm(forms.Form):
    """On which account what shall be done: leads to the account's own action."""

    ACTIONS = dict(zip(POSTED_BY_STAFF, ("deposit", "withdraw", "adjust", "credit"), strict=True))

    account = forms.IntegerField(
        min_value=1,
        max_value=10**15,
        label="Account number",
        widget=UnfoldAdminIntegerFieldWidget(attrs={"autofocus": True}),
    )
    kind = forms.ChoiceField(
        choices=[(str(kind), kind.capitalize()) for kind in POSTED_BY_STAFF],
        widget=UnfoldAdminSelectWidget(),
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reach = reachable_groups(user)

    def clean_account(self) -> TradingAccount:
        """Find the account, within reach."""
        found = TradingAccount.objects.filter(login=self.cleaned_data["account"]).first()
        if found is None or (self._reach is not None and found.group_id not in self._reach):
            raise forms.ValidationError("There is no such account.")
        return found


class FundPolicyForm(forms.ModelForm):
    """A group's policy; a threshold that lets one person do more needs a reason for the second one."""

    change_reason = forms.CharField(
        required=False,
        max_length=200,
        label="Reason",
        widget=UnfoldAdminTextInputWidget(),
        help_text="Needed when the threshold is raised or removed: a second person reads it.",
    )

    class Meta:
        model = FundPolicy
        fields = ["group", "threshold", "minimum", "takes_deposits", "takes_withdrawals", "approval_hours"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "group" in self.fields:
            self.fields["group"].required = True  # the house has its policy already

    def clean(self) -> dict[str, Any]:
        """Ask for the reason where a second person will read it."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.asks_for_more and len(cleaned.get(REASON_FIELD, "").strip()) < 3:
            self.add_error(REASON_FIELD, "A second person has to know why.")
        return cleaned

    @property
    def asks_for_more(self) -> bool:
        """Whether one person could post more than before."""
        if "threshold" not in self.cleaned_data:
            return False
        return is_looser(now=self.threshold_before, wanted=self.cleaned_data["threshold"])

    @property
    def threshold_before(self) -> Decimal | None:
        """What holds now: for a new policy the house's."""
        known: Decimal | None = self.initial.get("threshold") if self.instance.pk else house_threshold()
        return known
