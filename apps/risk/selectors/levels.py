"""Reads how accounts stand: counted by margin level, and the equity of an account's days."""

from collections.abc import Collection
from typing import Any

from django.db import connection

from apps.risk.models import AccountRisk, AccountRiskDay
from rtx.kernel.money import text

BOUNDS = (0, 50, 80, 100, 120, 150, 200, 300, 500, 1000)
ABOVE = "inf"
COUNT = """
    SELECT width_bucket(-r.level_pct, %s::numeric[]) AS bucket, count(*)
    FROM risk_accountrisk r JOIN accounts_tradingaccount a ON a.id = r.account_id
    WHERE r.level_pct IS NOT NULL AND a.group_id = ANY(%s) GROUP BY 1
"""


def counted(groups: Collection[int]) -> dict[str, int]:
    """Return the accounts of some trading groups by the upper bound of their margin level in percent."""
    names = [*map(str, BOUNDS), ABOVE]
    found = dict.fromkeys(names, 0)
    with connection.cursor() as cursor:  # negated, so that a level belongs to the bound it reaches
        cursor.execute(COUNT, [[-bound for bound in reversed(BOUNDS)], list(groups)])
        for bucket, count in cursor.fetchall():
            found[names[len(BOUNDS) - bucket]] = count
    return found


def days_of(account_id: int, *, limit: int) -> dict[str, list[Any]]:
    """Return the end, low and high of an account's last days and of today so far, oldest first."""
    rows = list(
        AccountRiskDay.objects.filter(account_id=account_id)
        .order_by("-date")
        .values_list("date", "equity_end", "equity_low", "equity_high")[: limit - 1]
    )
    rows.reverse()
    rows += AccountRisk.objects.filter(account_id=account_id).values_list(
        "day", "equity", "day_low_equity", "day_high_equity"
    )
    return {
        "labels": [day.isoformat() for day, *_ in rows],
        "end": [text(end) for _, end, _, _ in rows],
        "low": [text(low) for _, _, low, _ in rows],
        "high": [text(high) for *_, high in rows],
    }
