"""What staff who reach some groups only see and change of risk: nothing that is about the others."""

from datetime import time
from typing import Any

import pytest
from django.urls import reverse

from apps.groups.models import TradingGroup
from apps.risk.models import (
    Breaker,
    BreakerState,
    KillSwitch,
    MonitorStatus,
    RiskAlarm,
    RiskLimit,
    SweepRun,
    TradingHours,
)
from apps.risk.selectors.overview import cards
from apps.risk.services import kill_switch
from apps.risk.services.kill_switch import Target
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.factories.house import House, staff
from tests.factories.rows import Trader
from tests.integration.admin.conftest import signed_in
from tests.integration.risk.api_callers import BASE, caller, get
from tests.integration.risk.api_callers import boss as boss
from tests.integration.risk.api_callers import dealer as dealer
from tests.integration.risk.api_callers import fresh as fresh
from tests.integration.risk.api_callers import house as house

pytestmark = pytest.mark.django_db
ACTOR = Actor.system("test")


@pytest.fixture
def pages(house: House) -> Any:
    """A browser of an admin who reaches the USD group only."""
    return signed_in(staff("admin@example.com", role="admin", groups=(house.usd,)))


@pytest.fixture
def watched(db: None) -> None:
    """One shard and one sweep, with numbers of the whole platform."""
    now = clock.now()
    same = {"lag_ms": 3, "lag_max_ms": 7, "follow_lag_ms": 2}
    MonitorStatus.objects.create(
        shard="0", holder="one", fence=1, at=now, started_at=now, accounts=41, positions=42, called=43,
        below=44, without_price=45, house_floating=46, levels={"50": 47}, **same,
    )  # fmt: skip
    SweepRun.objects.create(
        at=now, took_ms=5, positions=42, found=43, liquidated=44, missed=45, without_price=46
    )


def engage(**target: Any) -> KillSwitch:
    return kill_switch.engage(target=Target(**target), reason="a wild feed", actor=ACTOR)


# --- what is seen ----------------------------------------------------------------------------------------


def test_numbers_of_the_platform_are_null(watched: None, dealer: Trader, boss: Trader) -> None:
    names = ("accounts", "positions", "called", "below", "without_price", "house_floating")
    counts = ("positions", "found", "liquidated", "missed", "without_price")

    part, whole = (get(http, "monitor").json()["results"][0] for http in (dealer, boss))
    part_sweep, whole_sweep = (get(http, "sweeps").json()["results"][0] for http in (dealer, boss))

    assert [part[name] for name in names] == [None] * 6
    assert [whole[name] for name in names] == [41, 42, 43, 44, 45, "46.00"]
    assert (part["lag_ms"], sum(part["levels"].values()), whole["levels"]) == (3, 0, {"50": 47})
    assert [part_sweep[name] for name in counts] == [None] * 5
    assert [whole_sweep[name] for name in counts] == [42, 43, 44, 45, 46]


def test_cards_tell_no_numbers_of_the_platform(watched: None, house: House) -> None:
    part, whole = (
        {card["title"]: (card["value"], card["note"]) for card in cards(reach=reach, may=lambda right: True)}
        for reach in (frozenset({house.usd.pk}), None)
    )

    assert (part["Margin monitor"], part["Sweep"]) == (("7 ms", "1 shard"), ("missed some", "5 ms"))
    assert whole["Margin monitor"] == ("7 ms", "1 shard, 42 positions")
    assert whole["Sweep"] == ("45", "missed by the monitor, 5 ms")


def test_alarms_of_another_group_are_not_there(house: House, pages: Any, dealer: Trader) -> None:
    for target in (
        {"scope": "group", "group_id": house.eur.pk},
        {"scope": "group", "group_id": house.usd.pk},
        {"scope": "account", "account_id": house.bruno.pk},
        {"scope": "platform"},
    ):
        engage(**target)
    RiskAlarm.objects.create(
        kind="sweep_found", severity="critical", subject="all", message="m", raised_at=clock.now(),
        last_at=clock.now(),
    )  # fmt: skip

    listed = [row["message"] for row in get(dealer, "alarms").json()["results"]]
    shown = pages.get(reverse("admin:risk_riskalarm_changelist")).context["cl"].result_list
    card = next(card for card in cards(reach=frozenset({house.usd.pk}), may=lambda right: True)
                if card["title"] == "Open alarms")  # fmt: skip

    assert [message.partition(":")[0] for message in listed] == [
        "Trading was stopped (platform)",
        "Trading was stopped (group usd)",
    ]
    assert [row.message for row in shown] == listed
    assert card["value"] == "2"


def test_a_breaker_s_page_leaves_accounts_out_of_reach_out(house: House, pages: Any) -> None:
    rule = Breaker.objects.create(name="rate", scope="account", kind="reject_rate", threshold=50)
    for account in (house.anna, house.bruno):
        BreakerState.objects.create(
            breaker=rule, subject=f"number {account.login}", account=account, state="open", since=clock.now()
        )

    page = pages.get(reverse("admin:risk_breaker_change", args=[rule.pk])).content.decode()
    listed = pages.get(reverse("admin:risk_breaker_changelist")).content.decode()

    assert f"number {house.anna.login}" in page
    assert f"number {house.bruno.login}" not in page
    assert "1 tripped" in listed


def test_a_head_asks_for_the_right_of_a_get(house: House) -> None:
    support = caller(staff("support@example.com", role="support", groups=(house.usd,)))

    assert support.call("HEAD", BASE + "breakers").status_code == 403
    assert support.call("HEAD", BASE + "exposure").status_code == 200


@pytest.mark.parametrize(
    "page",
    [
        "risk_risklimit",
        "risk_tradinghours",
        "risk_accountrisk",
        "risk_accountriskday",
        "risk_liquidation",
        "risk_margincall",
        "trading_position",
    ],
)
def test_filters_name_no_group_out_of_reach(page: str, house: House) -> None:
    third = TradingGroup.objects.create(name="third", currency="USD")
    http = signed_in(staff("two@example.com", role="admin", groups=(house.usd, third)))

    filters = http.get(reverse(f"admin:{page}_changelist")).context["cl"].filter_specs
    (spec,) = [one for one in filters if getattr(one, "field_path", "").endswith("group")]

    assert {name for _, name in spec.lookup_choices} == {"usd", "third"}


# --- what is changed -------------------------------------------------------------------------------------


def test_what_concerns_everyone_is_changed_by_those_who_reach_everyone(house: House, pages: Any) -> None:
    hours = {"weekday": 0, "opens_at": time(9), "closes_at": time(10)}
    everyone = [
        RiskLimit.objects.create(scope="platform", kind="positions", value=5),
        RiskLimit.objects.create(scope="symbol", symbol=house.eurusd, kind="positions", value=5),
        TradingHours.objects.create(scope="platform", **hours),
        Breaker.objects.create(name="wild", scope="symbol", kind="spread", threshold=50),
    ]
    own = RiskLimit.objects.create(scope="group", group=house.usd, kind="positions", value=5)

    def delete(row: Any) -> int:
        url = reverse(f"admin:risk_{row._meta.model_name}_delete", args=[row.pk])
        return int(pages.post(url, {"post": "yes", "change_reason": "not needed any more"}).status_code)

    assert [delete(row) for row in everyone] == [403] * 4
    assert delete(own) == 302
    selected = {
        "action": "delete_selected",
        "_selected_action": [str(everyone[0].pk)],
        "post": "yes",
        "change_reason": "not needed any more",
    }
    pages.post(reverse("admin:risk_risklimit_changelist"), selected)
    assert RiskLimit.objects.filter(pk=everyone[0].pk).exists()
    changed = pages.post(reverse("admin:risk_risklimit_change", args=[everyone[0].pk]), {"value": "9"})
    assert changed.status_code == 403


def test_nobody_makes_or_moves_a_limit_beyond_their_reach(house: House, pages: Any) -> None:
    own = RiskLimit.objects.create(scope="group", group=house.usd, kind="positions", value=5)
    given = {"scope": "platform", "kind": "positions", "value": "1", "currency": "USD", "is_active": "on"}

    made = pages.post(reverse("admin:risk_risklimit_add"), given)
    moved = pages.post(reverse("admin:risk_risklimit_change", args=[own.pk]), given)

    for answer in (made, moved):
        assert "scope" in answer.context["adminform"].form.errors
    assert list(RiskLimit.objects.values_list("scope", flat=True)) == ["group"]


def test_reach_of_every_group_is_reach_of_everyone(house: House) -> None:
    limit = RiskLimit.objects.create(scope="platform", kind="positions", value=5)
    whole = signed_in(staff("all@example.com", role="admin", groups=(house.usd, house.eur)))

    url = reverse("admin:risk_risklimit_delete", args=[limit.pk])

    assert whole.post(url, {"post": "yes", "change_reason": "not needed any more"}).status_code == 302
    assert not RiskLimit.objects.exists()


def test_a_dealer_lets_a_platform_switch_close_nothing(house: House) -> None:
    switch = engage(scope="platform")
    http = signed_in(staff("dealer2@example.com", groups=(house.usd,)))
    asked = {
        "action": "also_work",
        "index": "0",
        "_selected_action": str(switch.pk),
        "operator_confirmed": "1",
        "reason": "a good reason",
        "request_key": "0f8fad5b-d9cb-469f-a165-70867728950e",
    }

    url = reverse("admin:risk_killswitch_change", args=[switch.pk])
    pressed = http.post(url.replace("/change/", "/also-work/"), asked)
    http.post(reverse("admin:risk_killswitch_changelist"), asked)

    switch.refresh_from_db()
    assert (switch.cancels_orders, switch.closes_positions) == (False, False)
    assert pressed.status_code in {302, 404}
