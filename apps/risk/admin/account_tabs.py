"""What risk adds to the page of an account: its margin calls and liquidations."""

from apps.accounts.models import TradingAccount
from apps.risk.models import Liquidation, MarginCall
from apps.trading.admin.account_page import ROWS_SHOWN, Tab, tab
from rtx.kernel.admin_display import EMPTY, amount, badge, instant, link, number


def margin_calls(account: TradingAccount) -> Tab:
    """Return the latest margin calls."""
    rows = [
        [
            link(row, f"#{row.pk}"),
            instant(row.called_at),
            number(row.level_pct),
            amount(row.equity, account.currency),
            amount(row.margin, account.currency),
            instant(row.cleared_at) if row.cleared_at else badge("open", "bad"),
        ]
        for row in MarginCall.objects.filter(account=account).order_by("-pk")[:ROWS_SHOWN]
    ]
    headers = ["Call", "Called (UTC)", "Level %", "Equity", "Margin", "Cleared (UTC)"]
    return tab(account, "risk_margincall", "Margin calls", headers, rows)


def liquidations(account: TradingAccount) -> Tab:
    """Return the latest liquidations."""
    found = Liquidation.objects.filter(account=account).defer("dossier").order_by("-pk")[:ROWS_SHOWN]
    rows = [
        [
            link(row, f"#{row.pk}"),
            instant(row.at),
            row.get_rule_display(),
            number(row.level_before_pct) if row.level_before_pct is not None else EMPTY,
            number(row.level_after_pct) if row.level_after_pct is not None else EMPTY,
            row.positions_closed,
            amount(row.profit, account.currency, signed=True),
        ]
        for row in found
    ]
    headers = ["Liquidation", "Time (UTC)", "Rule", "Level before %", "Level after %", "Deals", "Profit"]
    return tab(account, "risk_liquidation", "Liquidations", headers, rows)
