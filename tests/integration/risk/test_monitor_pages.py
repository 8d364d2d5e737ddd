"""The pages of the margin monitor: what they show, in which order, and to whom."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import TradingAccount, User
from apps.risk.models import AccountRisk, AccountRiskDay, MarginCall, MonitorStatus
from apps.risk.selectors import levels
from tests.factories.house import House, make_house, staff
from tests.factories.staff import signed_in


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def superuser(db: None) -> Client:
    return signed_in(User.objects.create_superuser("operator@example.com", "correct horse battery 17"))


@pytest.fixture
def dealer(house: House) -> Client:
    """A dealer who reaches Anna's group."""
    return signed_in(staff("dealer@example.com", groups=(house.usd,)))


def risk(account: TradingAccount, level: str | None, **more: Any) -> AccountRisk:
    now = timezone.now()
    amounts = dict.fromkeys(("day_low_equity", "day_high_equity"), "900")
    given = {
        "equity": "950.50",
        "margin": "800" if level else "0",
        "peak_equity": "1901",
        "peak_at": now,
        "day": date(2026, 11, 18),
        "day_start_equity": "1000",
        "used_credit": 0,
        "used_credit_max": 0,
        "updated_at": now,
        **amounts,
        **more,
    }
    return AccountRisk.objects.create(account=account, seq=1, level_pct=level, **given)


def status() -> MonitorStatus:
    now = timezone.now()
    return MonitorStatus.objects.create(
        shard="0",
        holder="engine:1:a",
        fence=3,
        at=now,
        started_at=now,
        accounts=7,
        positions=9,
        lag_ms=12,
        lag_max_ms=40,
        follow_lag_ms=50,
        levels={"50": 1, "100": 2, "inf": 4},
        called=2,
        below=1,
        house_floating=Decimal("-4321.09"),
    )


def text(client: Client, name: str, *args: Any, query: str = "") -> str:
    answer = client.get(reverse(f"admin:risk_{name}", args=args) + query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_those_nearest_to_their_call_come_first(house: House, superuser: Client) -> None:
    risk(house.bruno, "118.81")
    risk(house.anna, "90.00")

    shown = text(superuser, "accountrisk_changelist")

    assert shown.index("90.00 %") < shown.index("118.81 %")
    assert "-49.50" in shown  # the day's result
    assert "50.0 %" in shown  # below the peak


@pytest.mark.parametrize(
    ("near", "anna", "bruno"), [("stop", False, False), ("call", True, False), ("near", True, True)]
)
def test_the_list_is_narrowed_by_the_groups_levels(
    near: str, anna: bool, bruno: bool, house: House, superuser: Client
) -> None:
    risk(house.anna, "90.00")
    risk(house.bruno, "118.81")

    shown = text(superuser, "accountrisk_changelist", query=f"?near={near}")

    assert (f">{house.anna.login}<" in shown, f">{house.bruno.login}<" in shown) == (anna, bruno)


def test_staff_see_accounts_within_reach_only(house: House, dealer: Client) -> None:
    for account in (house.anna, house.bruno):
        risk(account, "90.00")
        now = timezone.now()
        MarginCall.objects.create(account=account, called_at=now, equity=1, margin=1, called_seq=1)
    outside = reverse("admin:risk_accountrisk_change", args=[house.bruno.pk])

    for name in ("accountrisk_changelist", "margincall_changelist"):
        shown = text(dealer, name)
        assert (f">{house.anna.login}<" in shown, f">{house.bruno.login}<" in shown) == (True, False)
    assert dealer.get(outside).status_code == 404


def test_an_account_shows_the_equity_of_its_days(house: House, superuser: Client) -> None:
    risk(house.anna, "90.00")
    AccountRiskDay.objects.create(
        account=house.anna,
        date=date(2026, 11, 17),
        equity_start="1100",
        equity_low="990",
        equity_high="1200",
        equity_end="1000",
        peak_equity="1901",
    )

    text(superuser, "accountrisk_change", house.anna.pk)

    assert levels.days_of(house.anna.pk, limit=90) == {
        "labels": ["2026-11-17", "2026-11-18"],
        "end": ["1000", "950.50"],
        "low": ["990", "900"],
        "high": ["1200", "900"],
    }


def test_what_the_whole_platform_holds_is_not_for_staff_of_some_groups(
    house: House, superuser: Client, dealer: Client
) -> None:
    status()
    risk(house.anna, "100.00")
    risk(house.bruno, "30.00")

    whole, part = (text(client, "monitorstatus_change", "0") for client in (superuser, dealer))

    assert ("4\u202f321.09" in whole, "4\u202f321.09" in part) == (True, False)
    assert '"values": [1, 2, 4]' in whole
    assert '"values": [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]' in part
    assert "Below" not in text(dealer, "monitorstatus_changelist")


@pytest.mark.parametrize(
    ("level", "bound"),
    [("-5", "0"), ("0", "0"), ("50", "50"), ("50.01", "80"), ("1000", "1000"), ("1000.01", "inf")],
)
def test_a_level_is_counted_where_the_monitor_counts_it(level: str, bound: str, house: House) -> None:
    risk(house.anna, level)

    found = levels.counted([house.usd.pk])

    assert {name for name, count in found.items() if count} == {bound}
