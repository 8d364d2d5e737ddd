"""The admin interface of risk: who may ask, what is answered, and that bad input is never a fault of ours."""

import json
from datetime import time
from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.models import User
from apps.accounts.selectors import tokens as token_states
from apps.market.domain.quotes import Quote
from apps.market.models import FeedStatus
from apps.market.services.board import board
from apps.risk.models import (
    AccountRisk,
    Breaker,
    BreakerState,
    Correlation,
    KillSwitch,
    Liquidation,
    RiskAlarm,
    TradingHours,
)
from rtx.kernel import clock
from rtx.kernel.limits import TokenBucket
from tests.factories.house import PASSWORD, House, buy, make_symbol, staff
from tests.factories.problems import answers_of, is_problem
from tests.factories.rows import Trader
from tests.factories.staff import code, with_app
from tests.integration.risk.api_callers import BASE as BASE
from tests.integration.risk.api_callers import boss as boss
from tests.integration.risk.api_callers import caller, get
from tests.integration.risk.api_callers import dealer as dealer
from tests.integration.risk.api_callers import fresh as fresh
from tests.integration.risk.api_callers import house as house

pytestmark = pytest.mark.django_db

READS = {
    "exposure": "trading.view_position",
    "margin": "risk.view_accountrisk",
    "liquidations": "risk.view_liquidation",
    "breakers": "risk.view_breaker",
    "limits": "risk.view_risklimit",
    "alarms": "risk.view_riskalarm",
    "sweeps": "risk.view_sweeprun",
    "monitor": "risk.view_monitorstatus",
    "correlations": "risk.view_correlation",
    "value-at-risk": "risk.view_valueatrisk",
    "market-open": "market.view_symbol",
    "kill-switch": "risk.view_killswitch",
}
ROLES = {  # what each role may read
    "dealer": set(READS) - {"value-at-risk"},
    "auditor": set(READS),
    "admin": set(READS),
    "support": {"exposure", "market-open"},
}


def mark(account: Any, *, level: str) -> AccountRisk:
    now = clock.now()
    return AccountRisk.objects.create(
        account=account,
        seq=1,
        equity=Decimal(500),
        margin=Decimal(1000),
        level_pct=Decimal(level),
        peak_equity=Decimal(1000),
        peak_at=now,
        day=now.date(),
        day_start_equity=Decimal(900),
        day_low_equity=Decimal(500),
        day_high_equity=Decimal(950),
        used_credit=Decimal(0),
        used_credit_max=Decimal(0),
        updated_at=now,
    )


def test_traders_and_strangers_are_refused(house: House) -> None:
    trader = caller(house.anna.client.user)

    for path in READS:
        is_problem(get(trader, path), 403, "forbidden")
        is_problem(get(Trader(), path), 401, "not_authenticated")


def test_every_role_reads_what_its_rights_allow(house: House) -> None:
    callers = {role: caller(staff(f"{role}@example.com", role=role, groups=(house.usd,))) for role in ROLES}

    answers = {role: {path: get(http, path).status_code for path in READS} for role, http in callers.items()}

    assert answers == {
        role: {path: 200 if path in allowed else 403 for path in READS} for role, allowed in ROLES.items()
    }


def test_a_disabled_member_of_staff_is_no_longer_let_in(house: House) -> None:
    user = staff("gone@example.com", groups=(house.usd,))
    http = caller(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    token_states.forget()

    is_problem(get(http, "exposure"), 401, "token_revoked")


def test_staff_sign_in_and_traders_do_not(house: House) -> None:
    with_app(staff("dealer@example.com", groups=(house.usd,)))
    path = "/api/admin/auth/login"
    good = {"email": "dealer@example.com", "password": PASSWORD, "otp": code()}
    trader = {"email": "anna@example.com", "password": PASSWORD}

    answer = Trader().call("POST", path, json.dumps(good))
    signed_in = Trader(answer.json()["access"])

    assert set(answer.json()) == {"access", "refresh", "expires_in"}
    assert get(signed_in, "exposure").status_code == 200
    is_problem(Trader().call("POST", path, json.dumps(trader)), 401, "invalid_credentials")
    is_problem(Trader().call("POST", path, json.dumps({**good, "password": "x"})), 401, "invalid_credentials")


def test_exposure_is_summed_within_reach(house: House, dealer: Trader, boss: Trader) -> None:
    buy(house.anna, "EURUSD", "0.30")
    buy(house.bruno, "EURUSD", "0.10")
    board().put(Quote("EURUSD", Decimal("1.11"), Decimal("1.11"), clock.now_ms()))

    mine, all_of_it = get(dealer, "exposure").json(), get(boss, "exposure").json()

    assert (mine["total"]["net_lots"], mine["total"]["net"]) == ("0.3", "33300.00")
    assert [row["group"] for row in mine["groups"]] == ["usd"]
    assert (all_of_it["total"]["net"], all_of_it["books"][0]["book"]) == ("44400.00", "b")
    # clients: (0.3 + 0.1) x (1.11 - 1.1001) x 100,000
    assert all_of_it["total"]["house"] == "-396.00"
    euro = next(row for row in all_of_it["currencies"] if row["currency"] == "EUR")
    assert (euro["net"], euro["net_shown"]) == ("40000", "44400.00")
    assert {row["group"]: row["gross_own"] for row in all_of_it["groups"]} == {
        "usd": "33300.00",
        "eur": "10000.00",
    }


def test_margin_lists_the_lowest_level_first(house: House, boss: Trader, dealer: Trader) -> None:
    mark(house.anna, level="120.555")
    mark(house.bruno, level="50")

    rows = get(boss, "margin").json()["results"]

    assert [(row["account"], row["level_pct"]) for row in rows] == [
        (house.bruno.login, "50.00"),
        (house.anna.login, "120.56"),
    ]
    assert [row["account"] for row in get(dealer, "margin").json()["results"]] == [house.anna.login]
    is_problem(get(dealer, f"margin?account={house.bruno.login}"), 404, "account_not_found")


def test_pages_follow_each_other(house: House, boss: Trader) -> None:
    mark(house.anna, level="120")
    mark(house.bruno, level="50")

    first = get(boss, "margin?limit=1").json()
    second = boss.call("GET", first["next"].partition("testserver")[2]).json()

    assert [page["results"][0]["account"] for page in (first, second)] == [
        house.bruno.login,
        house.anna.login,
    ]
    assert second["next"] is None


def liquidated(account: Any) -> Liquidation:
    event = account.events.latest("seq")
    return Liquidation.objects.create(
        event=event,
        account=account,
        group=account.group,
        at=clock.now(),
        rule="largest_loss",
        cause="monitor",
        stop_out_pct=50,
        equity_before=Decimal("400"),
        margin_before=Decimal("1000"),
        level_before_pct=Decimal("40"),
        equity_after=Decimal("390"),
        margin_after=Decimal("0"),
        level_after_pct=None,
        orders_canceled=0,
        positions_closed=1,
        profit=Decimal("-600"),
        credit_used=0,
        compensation=0,
        is_complete=True,
        dossier='{"version":1,"rule":"largest_loss"}',
    )


def test_a_liquidation_carries_its_dossier(house: House, dealer: Trader) -> None:
    mine, foreign = liquidated(house.anna), liquidated(house.bruno)

    listed = get(dealer, "liquidations").json()["results"]
    found = get(dealer, f"liquidations/{mine.pk}").json()

    assert [row["id"] for row in listed] == [mine.pk]
    assert "dossier" not in listed[0]
    assert (found["level_before_pct"], found["level_after_pct"]) == ("40.00", None)
    assert found["dossier"] == {"version": 1, "rule": "largest_loss"}
    is_problem(get(dealer, f"liquidations/{foreign.pk}"), 404, "liquidation_not_found")


def test_outside_reach_is_404_whatever_the_right_and_403_within(house: House) -> None:
    http = caller(staff("support@example.com", role="support", groups=(house.usd,)))
    mine, foreign = liquidated(house.anna), liquidated(house.bruno)

    is_problem(get(http, f"liquidations/{mine.pk}"), 403, "forbidden")
    is_problem(get(http, f"liquidations/{foreign.pk}"), 404, "liquidation_not_found")
    is_problem(get(http, f"account/{house.anna.login}"), 403, "forbidden")
    is_problem(get(http, f"account/{house.bruno.login}"), 404, "account_not_found")


def test_alarms_can_be_asked_for_by_state(house: House, boss: Trader) -> None:
    now = clock.now()
    for subject, cleared_at in (("open", None), ("gone", now)):
        RiskAlarm.objects.create(
            kind="no_price",
            severity="warning",
            subject=subject,
            message="m",
            raised_at=now,
            last_at=now,
            cleared_at=cleared_at,
        )

    asked = {
        query: get(boss, f"alarms{query}").json()["results"] for query in ("", "?open=true", "?open=false")
    }

    assert {query: [row["subject"] for row in rows] for query, rows in asked.items()} == {
        "": ["gone", "open"],
        "?open=true": ["open"],
        "?open=false": ["gone"],
    }
    is_problem(get(boss, "alarms?open=perhaps"), 400, "invalid")


def test_an_accounts_analytics_count_its_orders(house: House, dealer: Trader) -> None:
    mark(house.anna, level="50")
    buy(house.anna, "EURUSD", "0.30")
    buy(house.anna, "EURUSD", "0.10")
    buy(house.anna, "EURUSD", "9999")

    found = get(dealer, f"account/{house.anna.login}").json()

    assert found["orders"] == {
        "orders": 3,
        "by_status": {"filled": 2, "rejected": 1},
        "fill_rate_pct": "66.67",
        "reject_rate_pct": "33.33",
        "by_reject_reason": {"invalid_volume": 1},
        "volume": "0.4",
        "order_size_average": "0.2",
    }
    assert (found["mark"]["peak_equity"], found["drawdown_pct"]) == ("1000.00", "50.00")


def test_a_market_says_why_it_is_not_open(house: House, dealer: Trader) -> None:
    KillSwitch.objects.create(
        scope="symbol", symbol=house.usdjpy, reason="test", engaged_at=clock.now(), engaged_by="test"
    )

    rows = {row["symbol"]: row for row in get(dealer, "market-open").json()["results"]}

    assert (rows["EURUSD"]["tradable"], rows["EURUSD"]["always_open"]) == (True, True)
    assert (rows["USDJPY"]["tradable"], rows["USDJPY"]["reasons"]) == (False, ["kill_switch"])
    is_problem(get(dealer, "market-open?symbol=NOPE"), 404, "symbol_not_found")


def test_a_market_is_not_open_while_guards_refuse(house: House, dealer: Trader) -> None:
    rule = Breaker.objects.create(name="silence", scope="lp", kind="tick_silence", threshold=5)
    FeedStatus.objects.create(
        provider="lp-1", symbol=house.eurusd, started_at=clock.now(), updated_at=clock.now()
    )
    BreakerState.objects.create(breaker=rule, subject="lp-1", state="open", since=clock.now())
    TradingHours.objects.create(
        scope="symbol",
        symbol=house.usdjpy,
        weekday=(clock.now().weekday() + 3) % 7,
        opens_at=time(1),
        closes_at=time(2),
        timezone="UTC",
    )

    reasons = {row["symbol"]: row["reasons"] for row in get(dealer, "market-open").json()["results"]}

    assert reasons == {"EURUSD": ["circuit_breaker"], "USDJPY": ["trading_hours"]}


def test_breakers_are_paged_and_found_by_symbol_and_number(house: House, dealer: Trader) -> None:
    made = {
        name: Breaker.objects.create(name=name, scope="symbol", kind="spread", threshold=9, symbol=symbol)
        for name, symbol in (("each", None), ("euro", house.eurusd), ("yen", house.usdjpy))
    }
    for symbol in (house.eurusd, house.usdjpy):
        BreakerState.objects.create(
            breaker=made["each"], subject=symbol.name, symbol=symbol, state="open", since=clock.now()
        )

    def found(query: str) -> list[tuple[str, list[str]]]:
        rows = get(dealer, f"breakers?{query}").json()["results"]
        return [(row["name"], [state["subject"] for state in row["states"]]) for row in rows]

    assert found("symbol=EURUSD") == [("euro", []), ("each", ["EURUSD"])]
    assert found(f"id={made['each'].pk}") == [("each", ["EURUSD", "USDJPY"])]
    first = get(dealer, "breakers?limit=2").json()
    assert ([row["name"] for row in first["results"]], first["next"] is None) == (["yen", "euro"], False)
    is_problem(get(dealer, "breakers?symbol=NOPE"), 404, "symbol_not_found")
    is_problem(get(dealer, "breakers?id=x"), 400, "invalid")


def test_correlations_are_paged(house: House, dealer: Trader) -> None:
    third = make_symbol("USDCHF", session=house.eurusd.session)
    made = [
        Correlation.objects.create(first=first, second=second, estimate=Decimal("0.5"))
        for first, second in ((house.eurusd, house.usdjpy), (house.eurusd, third))
    ]

    page = get(dealer, "correlations?limit=1").json()

    assert [row["id"] for row in page["results"]] == [made[1].pk]
    assert "cursor=" in page["next"]


def test_exposure_is_reported_in_a_currency_that_somebody_has(house: House, dealer: Trader) -> None:
    assert get(dealer, "exposure?currency=JPY").json()["currency"] == "JPY"
    is_problem(get(dealer, "exposure?currency=ZZZ"), 400, "invalid")


BAD_QUERIES = [
    "margin?limit=x",
    "margin?limit=0",
    "margin?cursor=zzz",
    "margin?account=x",
    "liquidations?from=yesterday",
    "liquidations?cursor=cD1hYmM=",
    "exposure?currency=usd",
    "exposure?currency=%00",
    "market-open?symbol=%00",
    "alarms?cursor=%F0%28",
]


def test_queries_that_make_no_sense_are_refused(boss: Trader) -> None:
    answers = answers_of(BAD_QUERIES, lambda path: get(boss, path))

    assert answers == dict.fromkeys(BAD_QUERIES, (400, "invalid"))


def test_numbers_too_large_for_any_row_are_not_found(boss: Trader) -> None:
    for path in ("liquidations/99999999999999999999", "account/99999999999999999999"):
        assert get(boss, path).status_code == 404


def test_a_flood_of_sign_ins_is_slowed_down(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.accounts.api.auth import AddressThrottle

    monkeypatch.setattr(AddressThrottle, "_bucket", TokenBucket(rate=0.001, burst=1))
    body = json.dumps({"email": "x@example.com", "password": "x"})
    statuses = [Trader().call("POST", "/api/admin/auth/login", body).status_code for _ in range(3)]

    assert statuses == [401, 429, 429]
