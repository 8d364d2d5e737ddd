"""Shows a dry run of a command on the page that asks for its confirmation. Cells only; decides nothing."""

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.audit.models import Approval
from apps.trading.admin.common import SIDE_TONES
from apps.trading.domain.commands import Command
from apps.trading.domain.orders import Entry
from apps.trading.services import reversals
from apps.trading.services.previews import Figures, Preview, QuoteSeen, preview
from rtx.kernel.actor import Actor
from rtx.kernel.admin_actions import Operation
from rtx.kernel.admin_display import EMPTY, amount, badge, number, price
from rtx.kernel.dry_runs import DryRun, Ground
from rtx.kernel.money import rounded, text

Builder = Callable[[Any, Operation], Command]
DONE = {"buy": "bought", "sell": "sold"}
AVERAGE_DIGITS = 8
HEADERS = ("Entry", "Symbol", "Side", "Lots", "Price", "Profit", "Commission", "Swap")
REFUSALS = {
    "no_money": "the free margin does not suffice",
    "off_quotes": "there is no usable price",
    "market_closed": "the market is closed",
    "kill_switch": "a kill switch stops new exposure",
    "circuit_breaker": "a circuit breaker is open",
    "position_changed": "the position has changed",
    "a_book": "the position belongs to the A-book",
    "requote": "the price has moved beyond the deviation",
}


def dry_run_of(build: Builder) -> Callable[[Any, Any, Operation], DryRun]:
    """Return the preview step of an action whose command `build(row, operation)` makes."""

    def previewed(_admin: Any, row: Any, operation: Operation) -> DryRun:
        return shown(preview(build(row, operation)))

    return previewed


def reversal_effect(approval: Approval, actor: Actor) -> DryRun:
    """Return what approving a reversal would do now, for whoever is to approve it."""
    return shown(preview(reversals.ReversalHandler().command(approval, actor=actor)))


def shown(found: Preview) -> DryRun:
    """Return a dry run in cells: what is dealt at which price, and the account's money before and after."""
    return DryRun(
        facts=_facts(found),
        figures=_figures(found),
        headers=HEADERS if found.deals else (),
        rows=[_deal(deal, found) for deal in found.deals],
        notes=[f"#{one['position_id']} stays open: {said(one['reject_reason'])}." for one in found.failed],
        refusal=said(found.refusal),
        ground=ground(found),
        repeated=found.repeated,
    )


def said(refusal: str) -> str:
    """Return the reason of a refusal in words, with its code."""
    if not refusal:
        return ""
    told = REFUSALS.get(refusal)
    return f"{told} ({refusal})" if told else refusal.replace("_", " ")


def ground(found: Preview) -> dict[str, Ground]:
    """
    Return what the money rests on that deals would bring. What is dealt stays as it was shown: how many deals
    and lots, what the lots that close were opened at, the swap. Prices may move until it is confirmed.
    """
    if found.repeated or not found.deals:
        return {}
    dealt = {"The number of deals": Decimal(len(found.deals)), "The swap": found.total("swap")}
    dealt |= _lots(found)
    return _prices(found) | {name: Ground(value=value) for name, value in dealt.items()}


def _prices(found: Preview) -> dict[str, Ground]:
    """
    Return the prices that deals would be made at. Until confirmed these may move by the deviation, or by the
    client's spread where that is wider: points alone would be nothing for metals and coins.
    """
    tolerances = {
        quote.symbol: max(settings.DEALING_DEVIATION_POINTS * quote.point, quote.ask - quote.bid)
        for quote in found.quotes
    }
    return {
        f"The price of {deal['symbol']} ({deal['side']})": Ground(
            value=Decimal(deal["price"]), tolerance=tolerances.get(deal["symbol"], Decimal(0))
        )
        for deal in found.deals
    }


def _lots(found: Preview) -> dict[str, Decimal]:
    """Return the lots that open and that close, and the average price at which the latter were opened."""
    opens: dict[str, Decimal] = defaultdict(Decimal)
    closes: dict[str, Decimal] = defaultdict(Decimal)
    costs: dict[str, Decimal] = defaultdict(Decimal)
    for deal in found.deals:
        name = f"{deal['symbol']} {DONE[deal['side']]}"
        volume = Decimal(deal["volume"])
        closed = Decimal(0)
        if deal["entry"] != Entry.IN:
            position = found.held[deal["position_id"]]
            closed = min(volume, position.volume)  # the rest of a deal opens the other way
            closes[name] += closed
            costs[name] += position.cost * closed / position.volume
        if volume > closed:
            opens[name] += volume - closed
    return {
        **{f"The volume of {name} to open": lots for name, lots in opens.items()},
        **{f"The volume of {name} to close": lots for name, lots in closes.items()},
        **{
            f"The average open price of {name} to close": rounded(cost / closes[name], AVERAGE_DIGITS)
            for name, cost in costs.items()
        },
    }


def _facts(found: Preview) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = [
        (f"{quote.symbol} for this client", _quote(quote)) for quote in found.quotes
    ]
    if found.deals:
        facts += [
            (label, amount(found.total(name), found.currency, signed=True))
            for name, label in (
                ("profit", "Realized profit"),
                ("commission", "Commission"),
                ("swap", "Swap"),
            )
        ]
    for order in found.orders:
        if order["status"] == "working":
            facts.append(("The order waits for", f"{order['stop_limit_price'] or order['price']}"))
        elif order["status"] in ("canceled", "expired"):
            facts.append(("The order ends as", order["status"]))
    if found.position is not None:
        facts.append(("Stop loss", found.position["stop_loss"] or EMPTY))
        facts.append(("Take profit", found.position["take_profit"] or EMPTY))
        if found.position["trailing_points"]:
            facts.append(("Trailing stop", f"{found.position['trailing_points']} points"))
    return facts


def _quote(quote: QuoteSeen) -> SafeString:
    age = f"{quote.age_ms / 1000:.1f} s old"
    bid, ask = price(quote.bid, quote.digits), price(quote.ask, quote.digits)
    return format_html('{} / {} <small class="rtx-unit">{}</small>', bid, ask, age)


def _figures(found: Preview) -> list[tuple[str, Any, Any]]:
    before, after, currency = found.before, found.after, found.currency

    def row(label: str, name: str) -> tuple[str, Any, Any]:
        return (
            label,
            amount(getattr(before, name), currency),
            amount(getattr(after, name), currency),
        )

    rows = [row("Balance", "balance")]
    if before.credit or after.credit:
        rows.append(row("Credit", "credit"))
    rows += [row("Equity", "equity"), row("Margin", "margin"), row("Free margin", "free_margin")]
    return [*rows, ("Margin level", _level(before), _level(after))]


def _level(figures: Figures) -> str:
    if figures.level_pct is None:
        return EMPTY
    return f"{text(figures.level_pct.quantize(Decimal('0.01')))} %"


def _deal(deal: dict[str, Any], found: Preview) -> list[Any]:
    digits = {quote.symbol: quote.digits for quote in found.quotes}.get(deal["symbol"], 5)
    return [
        deal["entry"].replace("_", " "),
        deal["symbol"],
        badge(deal["side"], SIDE_TONES[deal["side"]]),
        number(Decimal(deal["volume"])),
        price(Decimal(deal["price"]), digits),
        amount(Decimal(deal["profit"]), found.currency, signed=True),
        amount(Decimal(deal["commission"]), found.currency),
        amount(Decimal(deal["swap"]), found.currency),
    ]
