"""
Receipts of posted fund operations as PDF: one page, made from the journal's event alone. Names the holder as
the account's statement does, and nobody of the staff.
"""

from datetime import UTC, datetime
from decimal import Decimal

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import AccountEvent, TradingAccount
from apps.funds.domain.operations import said
from apps.funds.models import FundOperation
from apps.funds.selectors.operations import event_of
from apps.trading.adapters.sheet import (
    ACCENT,
    INNER,
    LEFT,
    MUTED,
    RIGHT,
    TOP,
    Sheet,
    fitted,
    one_at_a_time,
    printable,
)
from apps.trading.adapters.statement_files import File
from apps.trading.domain.statements import Heading
from apps.trading.selectors.statements import heading
from rtx.kernel.errors import Conflict
from rtx.kernel.money import digits, rounded

LABEL_WIDTH = 150.0
LINE_HEIGHT = 24.0
SIZE = 11.0


class NotPosted(Conflict):
    """Only what the journal has booked has a receipt."""

    code = "not_posted"
    title = "Not posted"


def receipt_file(operation: FundOperation, *, now: datetime, shows_holder: bool) -> File:
    """
    Return an operation's receipt.

    :raises NotPosted: the journal has no such booking.
    :raises Busy: too many documents are wanted at once.
    """
    event = event_of(operation)
    if event is None:
        raise NotPosted(f"Operation {operation.pk} is not posted: there is no receipt.")
    account = TradingAccount.objects.select_related("client", "group").get(pk=operation.account_id)
    told = heading(account, now=now, shows_holder=shows_holder)
    with one_at_a_time():
        body = _made(operation, event, told)
    return File(f"receipt-{account.login}-{operation.pk}.pdf", "application/pdf", body)


def _made(operation: FundOperation, event: AccountEvent, told: Heading) -> bytes:
    title = f"Receipt {operation.pk}"
    footer = printable(f"{told.broker} · Account {told.login} · {title}")
    sheet = Sheet(title=f"{title} of account {told.login}", author=told.broker, footer=footer)
    sheet.text(LEFT, TOP - 14, fitted(told.broker, 380, size=18), size=18, bold=True, color=ACCENT)
    sheet.text(LEFT, TOP - 30, f"{operation.get_kind_display()} receipt", size=11)
    sheet.text(RIGHT, TOP - 14, fitted(told.holder, 340, size=11), size=11, bold=True, right=True)
    facts = f"Account {told.login} · {told.group} · {told.currency}"
    sheet.text(RIGHT, TOP - 29, fitted(facts, 400, size=9), size=9, right=True)
    made_at = f"Made on {_time(told.generated_at)} UTC"
    sheet.text(RIGHT, TOP - 43, made_at, size=9, color=MUTED, right=True)
    sheet.y = TOP - 52
    sheet.rule(sheet.y, color=ACCENT, width=1.2)
    sheet.y -= 16
    for label, value in _lines(operation, event, told):
        sheet.y -= LINE_HEIGHT
        sheet.text(LEFT, sheet.y, label, size=SIZE, color=MUTED)
        shown = fitted(value, INNER - LABEL_WIDTH, size=SIZE)
        sheet.text(LEFT + LABEL_WIDTH, sheet.y, shown, size=SIZE, bold=label == "Amount")
    sheet.y -= 12
    sheet.note("Made from the account's journal, whose entries are never changed.")
    return sheet.finished()


def _lines(operation: FundOperation, event: AccountEvent, told: Heading) -> list[tuple[str, str]]:
    payload = event.payload
    kind = BalanceKind(payload["kind"])
    lines = [
        ("Receipt", str(operation.pk)),
        ("Kind", operation.get_kind_display()),
        ("Amount", _money(said(kind, Decimal(payload["amount"])), told.currency)),
        ("Booked on", f"{_time(event.at)} UTC"),
        ("Reference", payload["reference"]),
        ("Comment", payload["comment"]),
        ("Balance afterwards", _money(Decimal(payload["balance"]), told.currency)),
        ("Credit afterwards", _money(Decimal(payload["credit"]), told.currency)),
        ("Journal entry", f"{told.login} / {event.seq}"),
    ]
    return [(label, value) for label, value in lines if value]


def _money(amount: Decimal, currency: str) -> str:
    return f"{rounded(amount, digits(currency)) + 0:,} {currency}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
