"""Pages of the journal, the ledger and the account states: shown in full, changed by nobody."""

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from apps.accounts.models import AccountEvent, AccountState, LedgerLine, TradingAccount
from rtx.kernel.admin import ReadOnlyModelAdmin, ReadOnlyTabularInline, as_id
from rtx.kernel.admin_display import amount, badge, instant, link, link_to, stored_values
from rtx.kernel.admin_filters import FewNamesFilter, PeriodFilter


def accounts_by_login(term: str) -> list[int]:
    """Return the ids of the accounts with that login number: none or one."""
    login = as_id(term)
    if login is None:
        return []
    return list(TradingAccount.objects.filter(login=login).values_list("pk", flat=True)[:1])


def event_tone(kind: str) -> str:
    """Return the color of an event's type."""
    if "reject" in kind or "stop_out" in kind:
        return "bad"
    if "filled" in kind or "closed" in kind:
        return "good"
    return "info" if "balance" in kind else "muted"


@admin.register(AccountState)
class AccountStateAdmin(ReadOnlyModelAdmin):
    """What the journal adds up to, one row per account."""

    reach_path = "account__group"
    list_display = ["account_link", "group", "balance_", "credit_", "margin_", "seq", "updated"]
    list_select_related = ["account__group"]
    search_fields = ["account__login"]
    search_help_text = "Account number"
    ordering = ["account_id"]
    sortable_by: list[str] = []

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find the account by its number."""
        return Q(pk__in=accounts_by_login(term))

    @admin.display(description="Account")
    def account_link(self, state: AccountState) -> int:
        """The account's number."""
        return state.account.login

    @admin.display(description="Group")
    def group(self, state: AccountState) -> str:
        """The account's group."""
        return state.account.group.name

    @admin.display(description="Balance")
    def balance_(self, state: AccountState) -> SafeString:
        """Settled money."""
        return amount(state.balance, state.account.currency)

    @admin.display(description="Credit")
    def credit_(self, state: AccountState) -> SafeString:
        """Bonus that cannot be withdrawn."""
        return amount(state.credit, state.account.currency)

    @admin.display(description="Margin")
    def margin_(self, state: AccountState) -> SafeString:
        """Collateral held."""
        return amount(state.margin, state.account.currency)

    @admin.display(description="Updated (UTC)")
    def updated(self, state: AccountState) -> SafeString:
        """When the executor last wrote it."""
        return instant(state.updated_at)


class LedgerLineInline(ReadOnlyTabularInline):
    """The money that an event moved."""

    model = LedgerLine
    fields = ["ledger", "amount_", "at"]
    readonly_fields = ["amount_"]
    verbose_name_plural = "ledger lines of this event"

    @admin.display(description="Amount")
    def amount_(self, line: LedgerLine) -> SafeString:
        """The amount with its currency."""
        return amount(line.amount, line.currency, signed=True)


@admin.register(AccountEvent)
class AccountEventAdmin(ReadOnlyModelAdmin):
    """The journal: every change of every account, in each account's own order."""

    reach_path = "account__group"
    list_display = ["id", "at_", "account_link", "seq", "type_", "actor", "summary"]
    list_filter = [("type", FewNamesFilter), ("at", PeriodFilter)]
    list_select_related = ["account"]
    search_fields = ["account__login"]
    search_help_text = "Account number, event id or command id"
    ordering = ["-id"]
    sortable_by = ["id"]
    inlines = [LedgerLineInline]
    fields = [
        ("account_link", "seq", "type_"),
        ("at_", "actor", "request_id"),
        ("command_id", "fingerprint"),
        "payload_",
    ]
    readonly_fields = ["account_link", "type_", "at_", "payload_"]

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by account number, by event id, or by command id."""
        condition = Q(account_id__in=accounts_by_login(term))
        event_id = as_id(term)
        if event_id is not None:
            condition |= Q(pk=event_id)
        elif len(term.replace("-", "")) == 32 and all(c in "0123456789abcdef-" for c in term.lower()):
            condition |= Q(command_id=term.replace("-", ""))
        return condition

    @admin.display(description="Account")
    def account_link(self, event: AccountEvent) -> SafeString:
        """A link to the account."""
        return link(event.account)

    @admin.display(description="Type")
    def type_(self, event: AccountEvent) -> SafeString:
        """What happened."""
        return badge(event.type, event_tone(event.type))

    @admin.display(description="Time (UTC)")
    def at_(self, event: AccountEvent) -> SafeString:
        """When it happened."""
        return instant(event.at)

    @admin.display(description="Content")
    def summary(self, event: AccountEvent) -> str:
        """The beginning of the payload's plain values."""
        payload = event.payload if isinstance(event.payload, dict) else {}
        order = payload.get("order")
        source = order if isinstance(order, dict) else payload
        parts = [f"{name} {value}" for name, value in source.items() if isinstance(value, str | int)]
        text = ", ".join(parts)
        return f"{text[:80]}…" if len(text) > 80 else text

    @admin.display(description="Payload")
    def payload_(self, event: AccountEvent) -> SafeString:
        """The whole payload, indented."""
        return stored_values(event.payload)


@admin.register(LedgerLine)
class LedgerLineAdmin(ReadOnlyModelAdmin):
    """Every side of every money movement; the lines of one event add up to zero."""

    reach_path = "account__group"
    list_display = ["id", "at_", "account_link", "ledger_", "amount_", "event_link"]
    list_filter = [("ledger", ChoicesDropdownFilter), ("at", PeriodFilter)]
    list_select_related = ["account"]
    search_fields = ["account__login"]
    search_help_text = "Account number or line id"
    ordering = ["-id"]
    sortable_by = ["id"]
    fields = [("account_link", "event_link"), ("ledger_", "amount_"), "at_"]
    readonly_fields = ["account_link", "event_link", "ledger_", "amount_", "at_"]

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by account number or line id."""
        condition = Q(account_id__in=accounts_by_login(term))
        line_id = as_id(term)
        return condition if line_id is None else condition | Q(pk=line_id)

    @admin.display(description="Account")
    def account_link(self, line: LedgerLine) -> SafeString:
        """A link to the account."""
        return link(line.account)

    @admin.display(description="Ledger")
    def ledger_(self, line: LedgerLine) -> SafeString:
        """Where the money stands."""
        return badge(line.get_ledger_display(), "info" if line.ledger == "client" else "muted")

    @admin.display(description="Amount")
    def amount_(self, line: LedgerLine) -> SafeString:
        """The amount with its currency."""
        return amount(line.amount, line.currency, signed=True)

    @admin.display(description="Event")
    def event_link(self, line: LedgerLine) -> SafeString:
        """A link to the event that moved it."""
        return link_to("admin:accounts_accountevent_change", line.event_id, f"event {line.event_id}")

    @admin.display(description="Time (UTC)")
    def at_(self, line: LedgerLine) -> SafeString:
        """When it was booked."""
        return instant(line.at)
