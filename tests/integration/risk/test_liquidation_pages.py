"""Pages of liquidations, the queue, alarms and sweeps: what they show, to whom, and their actions."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.groups.models import TradingGroup
from apps.market.models import Symbol, TradingSession
from apps.risk.models import RiskAlarm, SweepRun
from apps.risk.services import alarms, liquidation, sweep
from rtx.kernel.actor import Actor
from rtx.kernel.admin_actions import CONFIRMED
from tests.factories import house, rows
from tests.factories.rows import Holder
from tests.factories.stop_outs import crash, exposed, liquidations, queued
from tests.integration.admin.conftest import signed_in


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(User.objects.create_superuser("operator@example.com", house.PASSWORD))


def page(client: Client, model: str, row: int | None = None, **asked: str) -> str:
    name = "changelist" if row is None else "change"
    answer = client.get(reverse(f"admin:risk_{model}_{name}", args=[] if row is None else [row]), asked)
    assert answer.status_code == 200
    return answer.content.decode()


def act(client: Client, model: str, action: str, row: int) -> str:
    answer = client.post(
        reverse(f"admin:risk_{model}_{action}", args=[row]),
        {CONFIRMED: "1", "request_key": str(uuid4())},
        follow=True,
    )
    assert answer.status_code == 200
    return answer.content.decode()


def waiting(group: TradingGroup) -> Holder:
    """Open an account that is below stop-out in a closed market."""
    holder = exposed(group=group)
    crash()
    never = TradingSession.objects.create(name="Never", timezone="UTC")
    Symbol.objects.update(session=never)
    liquidation.enforce(holder.id, cause="sweep", actor=Actor.system("sweep"))
    return holder


def test_a_dossier_is_a_page_and_is_derived_again_on_demand(operator: Client, group: TradingGroup) -> None:
    holder = exposed(group=group)
    crash()
    liquidation.enforce(holder.id, cause="sweep", actor=Actor.system("sweep"))
    [row] = liquidations(holder)

    assert f"#{row.pk}" in page(operator, "liquidation")
    shown = page(operator, "liquidation", row.pk)
    assert "largest loss" in shown
    assert "1.00000" in shown
    assert "data-rtx-dossier" in shown
    assert "Derive it again" in shown
    assert "identical, byte for byte" in page(operator, "liquidation", row.pk, derive="1")


def test_what_waits_is_listed_and_retried_on_demand(operator: Client, group: TradingGroup) -> None:
    holder = waiting(group)
    row = queued(holder)
    assert row is not None

    assert "EURUSD: market closed" in page(operator, "queuedliquidation")
    assert "goes on waiting" in act(operator, "queuedliquidation", "retry_now", row.pk)
    Symbol.objects.update(session=TradingSession.objects.get(name="Always"))
    assert "nothing is left" in act(operator, "queuedliquidation", "retry_now", row.pk)

    assert queued(holder) is None
    assert liquidations(holder)[0].cause == "staff"
    assert "closed" in page(operator, "queuedliquidation", row.pk)


def test_an_alarm_is_acknowledged_once_and_stays_open(operator: Client, group: TradingGroup) -> None:
    waiting(group)
    alarm = RiskAlarm.objects.get(kind="liquidation_waits")

    assert "EURUSD market closed" in page(operator, "riskalarm", alarm.pk)
    assert "acknowledged" in act(operator, "riskalarm", "acknowledge", alarm.pk)
    assert "was acknowledged before" in act(operator, "riskalarm", "acknowledge", alarm.pk)

    alarm.refresh_from_db()
    assert alarm.acknowledged_by.startswith("staff:user:")
    assert alarm.cleared_at is None


def test_sweeps_are_shown(operator: Client, group: TradingGroup) -> None:
    exposed(group=group)
    sweep.run()

    assert "clean" in page(operator, "sweeprun")
    assert "sql_ms" in page(operator, "sweeprun", SweepRun.objects.get().pk)


def test_staff_see_accounts_within_reach_only(group: TradingGroup) -> None:
    own, other = rows.make_group("own"), waiting(group)
    alarms.raise_alarm(
        kind="monitor_late", severity="critical", subject="status:0", message="Shard 0 is late"
    )
    dealer = signed_in(house.staff("dealer@example.com", groups=(own,)))
    row = queued(other)
    assert row is not None

    assert str(other.login) not in page(dealer, "queuedliquidation")
    shown = page(dealer, "riskalarm")
    assert str(other.login) not in shown
    assert "Shard 0 is late" in shown
    hidden = reverse("admin:risk_queuedliquidation_change", args=[row.pk])
    assert dealer.get(hidden).status_code == 404
    assert (
        dealer.post(
            reverse("admin:risk_queuedliquidation_retry_now", args=[row.pk]),
            {CONFIRMED: "1", "request_key": str(uuid4())},
        ).status_code
        == 404
    )
    sweep.run()
    assert "sql_ms" not in page(dealer, "sweeprun", SweepRun.objects.get().pk)


@pytest.mark.parametrize(("role", "may"), [("dealer", True), ("auditor", False)])
def test_acting_needs_the_right(group: TradingGroup, role: str, *, may: bool) -> None:
    row = queued(waiting(group))
    assert row is not None
    client = signed_in(house.staff("staff@example.com", role=role, groups=(group,)))

    for model, action, key in (
        ("queuedliquidation", "retry_now", row.pk),
        ("riskalarm", "acknowledge", RiskAlarm.objects.get(kind="liquidation_waits").pk),
    ):
        answer = client.post(
            reverse(f"admin:risk_{model}_{action}", args=[key]), {CONFIRMED: "1", "request_key": str(uuid4())}
        )
        assert answer.status_code == (302 if may else 403)
