"""Groups over the staff interface: the pages' own rules, reach and rights."""

import json
from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.models import TradingAccount, User
from apps.accounts.selectors import tokens as token_states
from apps.audit.models import Approval, StaffAction
from apps.groups.models import GroupSymbol, TradingGroup
from apps.market.models import Symbol
from rtx.kernel.rest import UserThrottle
from tests.factories.house import staff
from tests.factories.problems import is_problem
from tests.factories.rows import Holder, Trader, make_group
from tests.factories.staff import token_of
from tests.integration.risk.api_callers import caller

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture(autouse=True)
def _forgotten(db: None) -> None:
    token_states.forget()
    UserThrottle._bucket._levels.clear()


@pytest.fixture
def api(admin: User) -> Trader:
    return caller(admin)


def send(http: Trader, method: str, path: str, key: str = "k-1", **body: Any) -> Any:
    body = {"reason": "spring campaign", **body}
    return http.call(method, f"/api/admin/{path}", json.dumps(body), **{"Idempotency-Key": key})


def test_a_group_is_listed_with_what_results_and_from_where(
    symbols: dict[str, Symbol], group: TradingGroup, api: Trader
) -> None:
    TradingGroup.objects.filter(pk=group.pk).update(markup_bid_points=4)
    GroupSymbol.objects.create(group=group, symbol=symbols["EURUSD"], markup_bid_points=2)
    make_group("foreign")

    (shown,) = api.call("GET", "/api/admin/groups").json()["results"]

    terms = {one["symbol"]: one for one in shown["symbols"]}
    assert (shown["name"], shown["stop_out_pct"], shown["accounts"]) == ("usd", "50", 0)
    assert terms["EURUSD"]["markup_bid_points"] == {"value": "2", "source": "override", "inherited": "4"}
    assert terms["GBPUSD"]["markup_bid_points"] == {"value": "4", "source": "group", "inherited": "4"}
    assert terms["GBPUSD"]["volume_min"]["source"] == "symbol"


def test_a_group_is_made_once_per_key_and_reached_by_its_maker(
    symbols: dict[str, Symbol], api: Trader
) -> None:
    body = {
        "name": "gold",
        "leverage_max": 50,
        "symbols": {"EURUSD": {"swap_mode": "points", "swap_long": "-3"}},
    }

    made, repeated = (send(api, "POST", "group/create", **body) for _ in range(2))
    other = send(api, "POST", "group/create", name="silver")

    assert (made.status_code, repeated.json()) == (201, made.json())
    is_problem(other, 409, "idempotency_key_reused")
    group = TradingGroup.objects.get(name="gold")
    assert group.symbol_terms.get().swap_long == D(-3)
    assert send(api, "PUT", f"group/{group.pk}", "k-2", description="x").json()["description"] == "x"
    assert set(StaffAction.objects.values_list("operation", flat=True)) == {
        "groups.add_tradinggroup",
        "groups.add_groupsymbol",
        "groups.change_tradinggroup",
        "rest.post.NewGroupView",  # the key that was used again
    }


def test_what_would_push_accounts_is_listed_until_it_is_confirmed(
    group: TradingGroup, holder: Holder, api: Trader
) -> None:
    answer = send(api, "PUT", f"group/{group.pk}", leverage_max=50)
    is_problem(answer, 409, "terms_need_confirmation")
    confirmed = send(api, "PUT", f"group/{group.pk}", leverage_max=50, confirm=True)

    (hit,) = answer.json()["errors"]["accounts"]
    assert (hit["account"], hit["level_after_pct"]) == (holder.login, "90.12")
    assert (confirmed.status_code, confirmed.json()["leverage_max"]) == (200, 50)


def test_levels_wait_for_a_second_person(group: TradingGroup, holder: Holder, api: Trader) -> None:
    answer = send(api, "PUT", f"group/{group.pk}", stop_out_pct="70", description="stricter")

    assert (answer.json()["stop_out_pct"], answer.json()["description"]) == ("50", "stricter")
    assert answer.json()["waiting"] == ["Group usd: stop out % 50 → 70"]
    assert Approval.objects.get().status == "pending"


def test_terms_of_a_symbol_are_set_and_taken_back(
    symbols: dict[str, Symbol], group: TradingGroup, api: Trader
) -> None:
    path = f"group/{group.pk}"

    send(api, "PUT", path, "k-1", symbols={"EURUSD": {"markup_ask_points": "7", "book": "a"}})
    set_to = GroupSymbol.objects.values("markup_ask_points", "book").get()
    send(api, "PUT", path, "k-2", symbols={"EURUSD": {"markup_ask_points": None}})
    inherits = GroupSymbol.objects.get().markup_ask_points
    send(api, "PUT", path, "k-3", symbols={"EURUSD": None})

    assert set_to == {"markup_ask_points": D(7), "book": "a"}
    assert inherits is None
    assert not GroupSymbol.objects.exists()


def test_a_group_is_switched_off_when_none_of_its_accounts_may_trade(
    group: TradingGroup, holder: Holder, api: Trader
) -> None:
    is_problem(send(api, "DELETE", f"group/{group.pk}"), 409, "group_in_use")
    TradingAccount.objects.update(status="disabled")

    assert send(api, "DELETE", f"group/{group.pk}").json()["is_active"] is False


def test_what_does_not_fit_is_named(symbols: dict[str, Symbol], group: TradingGroup, api: Trader) -> None:
    path = f"group/{group.pk}"
    bad = send(api, "PUT", path, margin_call_pct="40")

    is_problem(bad, 400, "terms_invalid")
    assert list(bad.json()["errors"]) == ["margin_call_pct"]
    is_problem(send(api, "PUT", path, leverage_max=0), 400, "invalid")
    is_problem(send(api, "PUT", path, id=7), 400, "invalid")
    is_problem(send(api, "PUT", path, margin_schedule="none"), 400, "terms_invalid")
    is_problem(send(api, "PUT", path, symbols={"NOPE": {}}), 404, "symbol_not_found")
    is_problem(send(api, "PUT", path, key=""), 400, "invalid")
    assert StaffAction.objects.count() == 0


def test_reach_comes_before_the_right(symbols: dict[str, Symbol], group: TradingGroup, api: Trader) -> None:
    foreign = make_group("foreign")
    dealer = caller(staff("dealer@example.com", groups=(group,)))

    is_problem(send(api, "PUT", f"group/{foreign.pk}", description="x"), 404, "group_not_found")
    is_problem(send(dealer, "PUT", f"group/{foreign.pk}", description="x"), 404, "group_not_found")
    is_problem(send(dealer, "PUT", f"group/{group.pk}", description="x"), 403, "forbidden")
    is_problem(send(dealer, "DELETE", f"group/{group.pk}"), 403, "forbidden")
    is_problem(send(dealer, "POST", "group/create", name="own"), 403, "forbidden")
    assert dealer.call("GET", "/api/admin/groups").status_code == 200


def test_groups_are_changed_only_after_a_fresh_sign_in(group: TradingGroup, admin: User) -> None:
    old = Trader(token_of(admin, proved_s_ago=3600))

    for method, path in (
        ("POST", "group/create"),
        ("PUT", f"group/{group.pk}"),
        ("DELETE", f"group/{group.pk}"),
    ):
        is_problem(send(old, method, path), 401, "reauthentication_required")
