"""The pages of risk in the admin: who opens them, what they show, and that asking changes nothing."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import StaffAction
from apps.market.models import Symbol
from apps.risk.models import Correlation, KillSwitch, ValueAtRisk
from apps.risk.selectors import snapshot
from apps.risk.selectors.kept import kept
from rtx.kernel import clock
from tests.factories.house import PASSWORD, House, buy, make_house, staff
from tests.factories.staff import signed_in

pytestmark = pytest.mark.django_db

PAGES = {
    "risk_overview": "risk.view_accountrisk",
    "risk_exposure": "trading.view_position",
    "risk_exposure_live": "trading.view_position",
    "risk_what_if": "risk.view_accountrisk",
    "risk_value_at_risk": "risk.view_valueatrisk",
    "risk_heat_map": "risk.view_correlation",
    "risk_market_open": "market.view_symbol",
}
SUPPORT_OPENS = {"risk_exposure", "risk_exposure_live", "risk_market_open"}


@pytest.fixture(autouse=True)
def _fresh(db: None) -> None:
    kept.forget()
    snapshot.forget()


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def boss(house: House) -> Client:
    return signed_in(User.objects.create_superuser("boss@example.com", PASSWORD))


def test_every_role_opens_what_its_rights_allow(house: House) -> None:
    opened = {}
    for role in ("admin", "dealer", "auditor", "support"):
        http = signed_in(staff(f"{role}@example.com", role=role, groups=(house.usd,)))
        opened[role] = {name: http.get(reverse(f"admin:{name}")).status_code for name in PAGES}

    everything = dict.fromkeys(PAGES, 200)
    assert opened == {
        "admin": everything,
        "dealer": everything | {"risk_value_at_risk": 403},
        "auditor": everything,
        "support": {name: 200 if name in SUPPORT_OPENS else 403 for name in PAGES},
    }


def test_traders_and_strangers_are_sent_to_the_sign_in_page(house: House, client: Client) -> None:
    trader = signed_in(house.anna.client.user)

    for name in PAGES:
        assert client.get(reverse(f"admin:{name}")).status_code == 302
        assert trader.get(reverse(f"admin:{name}")).status_code == 302


def test_exposure_is_shown_within_reach(house: House) -> None:
    buy(house.anna, "EURUSD", "0.30")
    buy(house.bruno, "EURUSD", "0.10")
    http = signed_in(staff("dealer@example.com", groups=(house.eur,)))

    shown = http.get(reverse("admin:risk_exposure_live")).json()

    assert (shown["total"]["buy_lots"], [row["group"] for row in shown["groups"]]) == ("0.1", ["eur"])


ASKED = {
    "price_pct": "-6",
    "spread_pct": "",
    "prices": "",
    "leverage_max": "",
    "margin_call_pct": "",
    "stop_out_pct": "",
}


def test_a_what_if_is_asked_and_shown(house: House, boss: Client) -> None:
    buy(house.anna, "EURUSD", "1.50")

    page = boss.post(reverse("admin:risk_what_if"), {**ASKED, "prices": "USDJPY +1.5\n\nEURUSD -6 %"})
    result = page.context["result"]

    assert (page.status_code, result["newly_closed"]) == (200, 1)
    assert [(row["symbol"], row["change"]) for row in result["symbols"]] == [("EURUSD", "9900.00")]
    assert str(house.anna.login) in page.content.decode()


def test_a_what_if_may_be_about_chosen_groups(house: House, boss: Client) -> None:
    buy(house.anna, "EURUSD", "0.90")
    buy(house.bruno, "EURUSD", "0.90")

    def called(groups: list[int]) -> list[str]:
        body = {**ASKED, "price_pct": "", "margin_call_pct": "5000", "groups": groups}
        return [
            row["group"] for row in boss.post(reverse("admin:risk_what_if"), body).context["result"]["worst"]
        ]

    assert (sorted(called([])), called([house.eur.pk])) == (["eur", "usd"], ["eur"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price_pct", "-100"),
        ("price_pct", "NaN"),
        ("prices", "EURUSD minus three"),
        ("prices", "NOPE 1"),
        ("leverage_max", "0"),
        ("stop_out_pct", "500"),
        ("groups", "999"),
    ],
)
def test_a_what_if_says_what_it_does_not_understand(
    field: str, value: str, house: House, boss: Client
) -> None:
    page = boss.post(reverse("admin:risk_what_if"), {**ASKED, field: value})

    assert (page.status_code, page.context["result"]) == (200, None)
    assert page.context["form"].errors


def test_value_at_risk_is_run_by_hand_and_logged(house: House, boss: Client) -> None:
    body = {"method": "parametric", "confidence_pct": "97.5", "horizon_days": "10", "interval": "1h"}

    answer = boss.post(reverse("admin:risk_value_at_risk"), body)
    page = boss.get(reverse("admin:risk_value_at_risk"))

    row = ValueAtRisk.objects.get()
    assert (answer.status_code, row.method, row.horizon_days) == (302, "parametric", 10)
    assert StaffAction.objects.get().target_id == str(row.pk)
    assert page.context["latest"]["confidence_pct"] == "97.5"


def test_only_those_with_the_right_run_value_at_risk(house: House) -> None:
    http = signed_in(staff("auditor@example.com", role="auditor", groups=(house.usd,)))
    body = {"method": "parametric", "confidence_pct": "99", "horizon_days": "1", "interval": "1d"}

    assert http.post(reverse("admin:risk_value_at_risk"), body).status_code == 403
    assert not ValueAtRisk.objects.exists()


def test_open_markets_tell_what_is_in_the_way(house: House, boss: Client) -> None:
    KillSwitch.objects.create(
        scope="symbol", symbol=house.usdjpy, engaged_at=clock.now(), engaged_by="user:1", reason="a drill"
    )
    Symbol.objects.filter(pk=house.usdjpy.pk).update(trade_mode="close_only")

    page = boss.get(reverse("admin:risk_market_open"))

    rows = {row["symbol"]: (row["tradable"], row["why"]) for row in page.context["rows"]}
    assert rows["EURUSD"] == (True, [])
    assert rows["USDJPY"] == (False, ["close only", "kill switch"])
    assert (page.context["tradable"], page.context["held_up"]) == (len(rows) - 1, 1)


def pair(house: House) -> Correlation:
    return Correlation.objects.create(
        first=house.eurusd, second=house.usdjpy, estimate=Decimal("-0.4"), observations=90, interval="1d"
    )


def test_the_heat_map_leads_to_the_override(house: House, boss: Client) -> None:
    row = pair(house)
    page = boss.get(reverse("admin:risk_heat_map"))
    change = reverse("admin:risk_correlation_change", args=[row.pk])

    assert change in page.content.decode()
    assert [cell["text"] for cell in page.context["rows"][0]["cells"]] == ["1", "-0.40"]
    assert boss.get(change).status_code == 200


def operate(http: Client, row: Correlation, action: str, **values: str) -> Any:
    body = {"operator_confirmed": "1", "reason": "both follow one event", "request_key": "1" * 32, **values}
    return http.post(f"/admin/risk/correlation/{row.pk}/{action}/", body)


def test_an_override_wins_and_is_taken_back(house: House, boss: Client) -> None:
    row = pair(house)

    operate(boss, row, "set_override", value="0.9")
    overridden = Correlation.objects.get()
    operate(boss, row, "remove_override")

    assert (overridden.override, overridden.override_reason) == (Decimal("0.9"), "both follow one event")
    assert (overridden.estimate, Correlation.objects.get().override) == (Decimal("-0.4"), None)
    assert StaffAction.objects.count() == 2


def test_an_auditor_overrides_nothing(house: House) -> None:
    row = pair(house)
    http = signed_in(staff("auditor@example.com", role="auditor", groups=(house.usd,)))

    assert operate(http, row, "set_override", value="0.9").status_code == 403
    assert Correlation.objects.get().override is None


def test_the_overview_shows_what_is_stopped(house: House, boss: Client) -> None:
    KillSwitch.objects.create(scope="platform", reason="drill", engaged_at=clock.now(), engaged_by="test")
    Symbol.objects.update(description="x")

    cards = {card["title"]: card for card in boss.get(reverse("admin:risk_overview")).context["cards"]}

    assert (cards["Kill switches"]["value"], cards["Kill switches"]["tone"]) == ("1", "loss")
    assert cards["Margin monitor"]["value"] == "never seen"
