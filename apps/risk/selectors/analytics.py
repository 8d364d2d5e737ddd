"""
What is known about an account's or a group's risk over time: peaks, orders, stop-outs, credit, breakers.

Everything is read from what is stored: marks that the margin monitor keeps, orders, liquidations, breakers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Avg, Count, Max, Q, QuerySet, Sum

from apps.accounts.models import TradingAccount
from apps.risk.models import AccountRisk, BreakerState, Liquidation, MarginCall
from apps.trading.models import Order
from rtx.kernel import clock
from rtx.kernel.money import booked, plain, rounded, text

Payload = dict[str, Any]
Reach = frozenset[int] | None
FILLED = (Order.Status.FILLED, Order.Status.PARTIALLY_FILLED)
PCT_DIGITS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Rows made within [since, until); None: without an end."""

    since: datetime | None = None
    until: datetime | None = None

    def of(self, field: str) -> Q:
        """Return the condition on a column."""
        found = Q()
        if self.since is not None:
            found &= Q(**{f"{field}__gte": self.since})
        if self.until is not None:
            found &= Q(**{f"{field}__lt": self.until})
        return found


EVER = Period()


def within(rows: QuerySet[Any], path: str, reach: Reach) -> QuerySet[Any]:
    """Limit rows to the trading groups within reach."""
    return rows if reach is None else rows.filter(**{f"{path}__in": reach})


def order_history(*, reach: Reach, account_id: int | None = None, period: Period = EVER) -> Payload:
    """Return how many orders there were, how they ended, and the share of fills and refusals in percent."""
    rows = within(Order.objects.order_by(), "account__group", reach).filter(period.of("created_at"))
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    counts = dict(rows.values_list("status").annotate(Count("pk")))
    total = sum(counts.values())
    filled = sum(counts.get(status, 0) for status in FILLED)
    reasons = rows.filter(status=Order.Status.REJECTED).values_list("reject_reason").annotate(Count("pk"))
    sizes = rows.filter(filled_volume__gt=0).aggregate(Sum("filled_volume"), Avg("filled_volume"))
    return {
        "orders": total,
        "by_status": {status: counts[status] for status in sorted(counts)},
        "fill_rate_pct": _share(filled, total),
        "reject_rate_pct": _share(counts.get(Order.Status.REJECTED, 0), total),
        "by_reject_reason": dict(sorted(reasons)),
        "volume": plain(sizes["filled_volume__sum"] or Decimal(0)),
        "order_size_average": _size(sizes["filled_volume__avg"]),
    }


def liquidations(
    *, reach: Reach, account_id: int | None = None, period: Period = EVER
) -> QuerySet[Liquidation]:
    """Return liquidations, newest first, without their dossiers until these are asked for."""
    rows = within(Liquidation.objects.select_related("account", "group"), "group", reach)
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    return rows.filter(period.of("at")).defer("dossier").order_by("-id")


def breaker_states(
    *, reach: Reach, symbol: str | None = None, breaker_id: int | None = None
) -> QuerySet[BreakerState]:
    """Return how breakers stand, of a symbol or of one breaker; those of accounts within reach only."""
    rows = BreakerState.objects.select_related("breaker", "symbol", "account")
    if reach is not None:
        rows = rows.filter(Q(account__isnull=True) | Q(account__group__in=reach))
    if symbol is not None:
        rows = rows.filter(symbol__name=symbol)
    if breaker_id is not None:
        rows = rows.filter(breaker_id=breaker_id)
    return rows.order_by("breaker__name", "subject")


def account_analytics(account: TradingAccount, *, period: Period = EVER) -> Payload:
    """Return everything known about one account's risk."""
    mark = AccountRisk.objects.filter(pk=account.pk).first()
    currency = account.currency
    stops = Liquidation.objects.filter(period.of("at"), account=account)
    calls = MarginCall.objects.filter(period.of("called_at"), account=account)
    counted = stops.aggregate(Count("pk"), Sum("compensation"), Max("at"))
    return {
        "account": account.login,
        "group": account.group.name,
        "currency": currency,
        "mark": None if mark is None else mark_view(mark, currency),
        "drawdown_pct": None if mark is None else _drawdown(mark),
        "orders": order_history(reach=None, account_id=account.pk, period=period),
        "liquidations": counted["pk__count"],
        "liquidated_last_at": _instant(counted["at__max"]),
        "compensation": text(booked(counted["compensation__sum"] or Decimal(0), currency)),
        "margin_calls": calls.count(),
        "in_margin_call": MarginCall.objects.filter(account=account, cleared_at__isnull=True).exists(),
        "breakers": [breaker_view(state) for state in breaker_states(reach=None).filter(account=account)],
    }


def mark_view(mark: AccountRisk, currency: str) -> Payload:
    """Return an account's marks as text."""
    amounts = (
        "equity",
        "margin",
        "peak_equity",
        "day_start_equity",
        "day_low_equity",
        "day_high_equity",
        "used_credit",
        "used_credit_max",
    )
    return {
        "level_pct": None if mark.level_pct is None else text(rounded(mark.level_pct, PCT_DIGITS)),
        **{name: text(booked(getattr(mark, name), currency)) for name in amounts},
        "peak_at": clock.rfc3339(mark.peak_at),
        "updated_at": clock.rfc3339(mark.updated_at),
    }


def breaker_view(state: BreakerState) -> Payload:
    """Return how a breaker stands for one subject."""
    return {
        "id": state.pk,
        "breaker": state.breaker_id,
        "name": state.breaker.name,
        "scope": state.breaker.scope,
        "kind": state.breaker.kind,
        "subject": state.subject,
        "state": state.state,
        "since": clock.rfc3339(state.since),
        "cools_until": _instant(state.cools_until),
        "value": None if state.value is None else plain(state.value),
        "threshold": plain(state.breaker.threshold),
        "reason": state.reason,
        "trips": state.trips,
    }


def margin_rows(*, reach: Reach, account_ids: Iterable[int] | None = None) -> QuerySet[AccountRisk]:
    """Return the marks of accounts that hold margin, the lowest level first."""
    rows = within(AccountRisk.objects.select_related("account__group"), "account__group", reach)
    if account_ids is not None:
        rows = rows.filter(pk__in=list(account_ids))
    return rows.filter(level_pct__isnull=False).order_by("level_pct", "pk")


def _drawdown(mark: AccountRisk) -> str | None:
    if mark.peak_equity <= 0:
        return None
    fall = (mark.peak_equity - mark.equity) / mark.peak_equity * 100
    return text(rounded(max(fall, Decimal(0)), PCT_DIGITS))


def _share(part: int, total: int) -> str | None:
    return text(rounded(Decimal(part) / total * 100, PCT_DIGITS)) if total else None


def _size(lots: Decimal | None) -> str | None:
    return None if lots is None else plain(rounded(lots, 4))


def _instant(at: datetime | None) -> str | None:
    return None if at is None else clock.rfc3339(at)
