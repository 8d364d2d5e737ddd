"""What funds add to the page of an account: its latest operations."""

from apps.accounts.models import TradingAccount
from apps.funds.models import FundOperation
from apps.trading.admin.account_page import ROWS_SHOWN, Tab, tab
from rtx.kernel.admin_display import amount, badge, instant, link

TONES = {"requested": "warn", "approved": "info", "posted": "good", "rejected": "bad", "canceled": "muted"}


def operations(account: TradingAccount) -> Tab:
    """Return the latest fund operations."""
    rows = [
        [
            link(row, f"#{row.pk}"),
            instant(row.requested_at),
            row.get_kind_display(),
            amount(row.amount, row.currency, signed=True),
            row.reference,
            "client" if row.by_client else "staff",
            badge(row.get_status_display(), TONES[row.status]),
        ]
        for row in FundOperation.objects.filter(account=account).order_by("-pk")[:ROWS_SHOWN]
    ]
    headers = ["Operation", "Asked (UTC)", "Kind", "Amount", "Reference", "By", "Status"]
    return tab(account, "funds_fundoperation", "Funds", headers, rows)
