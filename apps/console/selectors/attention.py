"""
What asks for a person: accounts near their margin call, winners and losers of the day, queues that wait.
Marks of accounts are those of the margin monitor, a few seconds old; nothing is computed anew here.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import F, QuerySet

from apps.accounts.models import KycReview
from apps.audit.models import Approval
from apps.audit.selectors import records
from apps.crm.models import DeadLetter
from apps.funds.models import FundOperation
from apps.risk.domain.rates import Rates
from apps.risk.models import AccountRisk
from rtx.kernel.money import ZERO, booked, plain, rounded, text

Payload = dict[str, Any]
Reach = frozenset[int] | None
SHOWN = 5
CANDIDATES = 25  # by amount in the account's currency, before amounts are compared in one
NEAR_PCT = 50  # percentage points above the margin-call level


def within(rows: QuerySet[Any], path: str, reach: Reach) -> QuerySet[Any]:
    """Keep the rows of the trading groups within reach."""
    return rows if reach is None else rows.filter(**{f"{path}__in": reach})


def near_margin_call(reach: Reach) -> list[Payload]:
    """Return the accounts closest to their margin call, the closest first."""
    rows = within(AccountRisk.objects.filter(level_pct__isnull=False), "account__group", reach)
    rows = rows.filter(level_pct__lte=F("account__group__margin_call_pct") + NEAR_PCT)
    rows = rows.select_related("account__group").order_by("level_pct")[:SHOWN]
    return [
        {
            "account_id": row.account_id,
            "login": row.account.login,
            "level": plain(rounded(row.level_pct or ZERO, 1)),
            "call": plain(row.account.group.margin_call_pct),
            "stop_out": plain(row.account.group.stop_out_pct),
            "equity": text(booked(row.equity, row.account.currency)),
            "currency": row.account.currency,
        }
        for row in rows
    ]


def winners_and_losers(reach: Reach, *, rates: Rates, now: datetime) -> Payload:
    """Return the accounts whose equity won and lost most since midnight (UTC), money paid in or out apart."""
    rows = within(AccountRisk.objects.filter(day=now.date()), "account__group", reach)
    rows = rows.annotate(moved=F("equity") - F("day_start_equity")).select_related("account")
    winners = rows.filter(moved__gt=0).order_by("-moved")[:CANDIDATES]
    losers = rows.filter(moved__lt=0).order_by("moved")[:CANDIDATES]
    return {"winners": _largest(winners, rates), "losers": _largest(losers, rates)}


def _largest(rows: QuerySet[Any], rates: Rates) -> list[Payload]:
    found: list[tuple[Decimal, Payload]] = []
    for row in rows:
        currency = row.account.currency
        converted = rates.convert(row.moved, currency)
        shown = {
            "account_id": row.account_id,
            "login": row.account.login,
            "moved": text(booked(row.moved, currency)),
            "currency": currency,
        }
        found.append((abs(converted if converted is not None else row.moved), shown))
    found.sort(key=lambda pair: pair[0], reverse=True)
    return [shown for _amount, shown in found[:SHOWN]]


def approvals_waiting(reach: Reach, *, now: datetime) -> int:
    """Count what waits for a second person, where it lies within reach."""
    rows = Approval.objects.filter(status=Approval.Status.PENDING, expires_at__gt=now)
    return records.approvals_within(rows, reach=reach, user_id=0).count()


def reviews_waiting(reach: Reach) -> int:
    """Count the clients whose documents wait for a decision."""
    rows = within(KycReview.objects.filter(decision=""), "client__trading_accounts__group", reach)
    return rows.values("client").distinct().count()


def requests_waiting(reach: Reach) -> int:
    """Count the fund operations that nobody has decided yet."""
    return within(FundOperation.objects.filter(is_waiting=True), "account__group", reach).count()


def letters_waiting(reach: Reach) -> int:
    """Count what the CRM sync gave up and nobody decided on; what is of no client is for unlimited reach."""
    rows = DeadLetter.objects.filter(status=DeadLetter.Status.OPEN)
    path = "link__client__trading_accounts__group"
    return within(rows, path, reach).values("pk").distinct().count()
