"""What the admin interface of risk changes: kill switches, breakers, correlations, value at risk, what-if."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from apps.risk.models import Breaker, BreakerState, KillSwitch
from rtx.kernel import clock
from rtx.kernel.rest import UserThrottle
from tests.factories.house import House, buy, staff
from tests.factories.problems import answers_of, is_problem
from tests.factories.rows import Trader
from tests.integration.risk.api_callers import BASE as BASE
from tests.integration.risk.api_callers import boss as boss
from tests.integration.risk.api_callers import caller, get, post
from tests.integration.risk.api_callers import dealer as dealer
from tests.integration.risk.api_callers import fresh as fresh
from tests.integration.risk.api_callers import house as house

pytestmark = pytest.mark.django_db


def stop(http: Trader, key: str = "k-1", **changes: Any) -> Any:
    body = {"action": "engage", "scope": "group", "group": "usd", "reason": "a wild feed", **changes}
    return post(http, "kill-switch", body, **{"Idempotency-Key": key})


def admin(house: House) -> Trader:
    return caller(staff("admin@example.com", role="admin", groups=(house.usd,)))


def test_trading_is_stopped_and_goes_on_again(house: House) -> None:
    http = admin(house)

    engaged = stop(http)
    repeated = stop(http)
    released = stop(http, "k-2", action="release", reason="feed repaired")

    assert (engaged.status_code, engaged.json()["is_on"], engaged.json()["group"]) == (200, True, "usd")
    assert repeated.json() == engaged.json()
    assert (released.json()["is_on"], released.json()["release_reason"]) == (False, "feed repaired")
    assert stop(http, "k-2", action="release", reason="feed repaired").json() == released.json()
    is_problem(stop(http, "k-3", action="release", reason="again"), 409, "kill_switch_released")


def test_a_kill_switch_needs_a_key_a_right_and_reach(house: House) -> None:
    http = admin(house)
    support = caller(staff("support@example.com", role="support", groups=(house.usd,)))

    is_problem(post(http, "kill-switch", {"action": "engage", "reason": "wild"}), 400, "invalid")
    is_problem(stop(http, group="eur"), 404, "group_not_found")
    is_problem(stop(support), 403, "forbidden")
    is_problem(stop(support, group="eur"), 404, "group_not_found")
    is_problem(stop(http, scope="symbol", group=None, symbol="NOPE"), 404, "symbol_not_found")
    is_problem(stop(http, scope="symbol"), 400, "invalid_target")
    assert not KillSwitch.objects.exists()


def test_a_key_names_one_request(house: House) -> None:
    http = admin(house)
    stop(http)

    is_problem(stop(http, scope="symbol", group=None, symbol="EURUSD"), 409, "idempotency_key_reused")
    is_problem(stop(http, closes_positions=True), 409, "idempotency_key_reused")
    is_problem(stop(http, action="release"), 409, "idempotency_key_reused")
    is_problem(stop(http, "k-9"), 409, "kill_switch_engaged")
    other = caller(staff("other@example.com", role="admin", groups=(house.usd, house.eur)))
    assert stop(other, group="eur").status_code == 200  # a key is its user's
    assert KillSwitch.objects.filter(released_at__isnull=True).count() == 2


def test_a_retried_release_lifts_no_newer_stop(house: House) -> None:
    http = admin(house)
    stop(http, "k-1")
    released = stop(http, "k-2", action="release")
    newer = stop(http, "k-3")

    repeated = stop(http, "k-2", action="release")

    assert (repeated.status_code, repeated.json()) == (200, released.json())
    assert list(KillSwitch.objects.filter(released_at__isnull=True).values_list("pk", flat=True)) == [
        newer.json()["id"]
    ]


def test_a_request_that_was_refused_may_be_tried_again_with_its_key(house: House) -> None:
    http = admin(house)
    stop(http, "k-1")
    is_problem(stop(http, "k-2"), 409, "kill_switch_engaged")
    stop(http, "k-3", action="release")

    assert stop(http, "k-2").status_code == 200


def test_two_requests_at_once_with_one_key_are_one(house: House) -> None:
    http = admin(house)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: stop(http), range(4)))

    assert [answer.status_code for answer in answers] == [200] * 4
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert KillSwitch.objects.count() == 1


def test_a_dealer_resets_no_breaker_of_everyone(house: House, dealer: Trader) -> None:
    rule = Breaker.objects.create(name="wild", scope="symbol", kind="price_move", threshold=3)
    everyone = BreakerState.objects.create(breaker=rule, subject="EURUSD", state="open", since=clock.now())
    own = BreakerState.objects.create(
        breaker=rule, subject="1", account=house.anna, state="open", since=clock.now()
    )
    body = {"reason": "the feed was repaired"}

    is_problem(post(dealer, f"breaker/{everyone.pk}/reset", body), 403, "forbidden")
    assert post(dealer, f"breaker/{own.pk}/reset", body).json()["state"] == "closed"


def test_a_breaker_is_reset_once(house: House) -> None:
    http = admin(house)
    rule = Breaker.objects.create(name="wild", scope="symbol", kind="price_move", threshold=3)
    state = BreakerState.objects.create(
        breaker=rule, subject="EURUSD", symbol=house.eurusd, state="open", since=clock.now(), trips=1
    )

    listed = get(http, "breakers").json()["results"]
    done = post(http, f"breaker/{state.pk}/reset", {"reason": "the feed was repaired"})

    assert [(row["name"], row["states"][0]["state"]) for row in listed] == [("wild", "open")]
    assert (done.status_code, done.json()["state"]) == (200, "closed")
    is_problem(post(http, f"breaker/{state.pk}/reset", {"reason": "again, please"}), 409, "breaker_closed")
    is_problem(post(http, "breaker/999/reset", {"reason": "nothing there"}), 404, "breaker_not_found")


def test_a_correlation_is_overridden_and_comes_back(house: House) -> None:
    http = admin(house)
    body = {"first": "USDJPY", "second": "EURUSD", "value": "-0.75", "reason": "both follow one event"}

    def put(**changes: Any) -> Any:
        return http.call("PUT", BASE + "correlations", json.dumps({**body, **changes}))

    assert (put().json()["value"], put().json()["override_reason"]) == ("-0.75", "both follow one event")
    assert put(value=None).json()["override"] is None
    is_problem(put(value="1.5"), 400, "invalid")
    is_problem(put(second="USDJPY"), 400, "correlation_invalid")
    is_problem(put(second="NOPE"), 404, "symbol_not_found")


def test_value_at_risk_names_what_it_leaves_out(house: House) -> None:
    buy(house.anna, "EURUSD", "0.30")

    made = post(admin(house), "value-at-risk", {"method": "parametric", "confidence_pct": "95"})

    assert (made.status_code, made.json()["amount"], made.json()["observations"]) == (201, None, 0)
    assert made.json()["left_out"] == {"EURUSD": "0 candles of 1d, 31 needed"}
    assert made.json()["exposures"] == {"EURUSD": "-33001.50"}


BAD_WHAT_IFS = {
    '{"price_pct": "x"}': "invalid",
    '{"price_pct": -3}': "invalid",
    '{"price_pct": "1e5"}': "invalid",
    '{"price_pct": "-100"}': "what_if_invalid",
    '{"price_pct": "NaN"}': "invalid",
    '{"spread_pct": "-101"}': "what_if_invalid",
    '{"prices": {"": "1"}}': "invalid",
    '{"prices": []}': "invalid",
    '{"groups": {"usd": {"leverage": 0}}}': "invalid",
    '{"groups": {"usd": {"leverage": "100"}}}': "invalid",
    '{"groups": {"usd": {"stop_out_pct": "-1"}}}': "invalid",
    '{"groups": {"usd": {"stop_out_pct": "101"}}}': "what_if_invalid",
    '{"groups": {"usd": {"foo": 1}}}': "invalid",
    '{"limit": -1}': "invalid",
    '{"limit": 501}': "invalid",
    '{"unknown": 1}': "invalid",
    '{"price_pct"': "malformed_json",
    "[]": "invalid",
    '"\\u0000"': "invalid",
}


def test_a_what_if_that_makes_no_sense_is_refused(dealer: Trader) -> None:
    answers = answers_of(BAD_WHAT_IFS, lambda body: dealer.call("POST", BASE + "what-if", body))

    assert answers == {body: (400, code) for body, code in BAD_WHAT_IFS.items()}


def test_a_what_if_names_known_symbols_and_groups_within_reach(house: House, dealer: Trader) -> None:
    is_problem(post(dealer, "what-if", {"prices": {"NOPE": "1"}}), 404, "symbol_not_found")
    is_problem(post(dealer, "what-if", {"groups": {"eur": {"leverage": 5}}}), 404, "group_not_found")


NASTY = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    " ",
    "\u0000",
    "\u00e9\U0001f642",
    "a" * 5000,
    "NaN",
    "-Infinity",
    "1e999",
    [],
    [[]],
    {},
    {"": {}},
    {"EURUSD": None},
    {"EURUSD": "-98.999999"},
    {"usd": {"leverage": 10_000, "stop_out_pct": "0", "margin_call_pct": "0"}},
    {"usd": {"markup_bid_points": "999999", "markup_ask_points": "999999"}},
)
WRITES = {
    ("POST", "what-if"): ("price_pct", "prices", "spread_pct", "spreads", "groups", "every_group", "limit"),
    ("POST", "value-at-risk"): ("method", "confidence_pct", "horizon_days", "interval"),
    ("PUT", "correlations"): ("first", "second", "value", "reason"),
    ("POST", "kill-switch"): (
        "action",
        "scope",
        "group",
        "symbol",
        "account",
        "id",
        "reason",
        "cancels_orders",
    ),
    ("POST", "breaker/1/reset"): ("reason",),
}
VALID: dict[str, dict[str, Any]] = {
    "correlations": {"first": "EURUSD", "second": "USDJPY", "value": "0.1", "reason": "a reason"},
    "kill-switch": {"action": "release", "scope": "group", "group": "usd", "reason": "a reason"},
    "breaker/1/reset": {"reason": "a reason"},
}


def test_no_value_of_any_field_is_a_fault_of_ours(house: House, boss: Trader) -> None:
    buy(house.anna, "EURUSD", "0.30")
    faults = []
    for (method, path), fields in WRITES.items():
        for field in fields:
            for value in NASTY:
                UserThrottle._bucket._levels.clear()
                body = json.dumps({**VALID.get(path, {}), field: value})
                answer = boss.call(method, BASE + path, body, **{"Idempotency-Key": "k"})
                if answer.status_code not in {200, 201, 400, 404, 409}:
                    faults.append((path, field, value, answer.status_code, answer.content))

    assert faults == []
