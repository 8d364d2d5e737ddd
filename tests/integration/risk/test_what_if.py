"""A what-if against what really happens: the same shock is put on the board and liquidated for real."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.models import AccountState
from apps.groups.models import GroupSymbol, TradingGroup
from apps.market.domain.quotes import Quote
from apps.market.models import Symbol
from apps.market.services.board import own_board
from apps.risk.domain.shocks import GroupDraft, Shock
from apps.risk.selectors import snapshot
from apps.risk.selectors.shocks import draft_of
from apps.risk.selectors.what_if import what_if
from apps.trading.domain.commands import StopOut
from apps.trading.domain.orders import Side
from apps.trading.domain.stop_out import StopOutVoid
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.factories import rows
from tests.factories.rows import Holder, make_group, make_holder, market_order

pytestmark = pytest.mark.django_db
D = Decimal
SYSTEM = Actor.system("test")


@pytest.fixture(autouse=True)
def _fresh(db: None) -> None:
    snapshot.forget()


def deal(holder: Holder, symbol: str, lots: str, side: Side = Side.BUY) -> None:
    assert executor.run(market_order(holder, side, symbol, lots=lots)).order.status == "filled"


def states(found: dict[str, Any], side: str) -> dict[int, str]:
    return {row["account"]: row[side]["state"] for row in found["worst"]}


def ask(shock: Shock, **more: Any) -> dict[str, Any]:
    snapshot.forget()
    return what_if(shock, reach=more.pop("reach", None), **more)


def stop_out(holder: Holder) -> bool:
    """Liquidate for real; False: the account stands above its stop-out level."""
    command = StopOut(
        account_id=holder.id, command_id=uuid4(), actor=SYSTEM, cause="staff", quote_time_ms=None, fence=0
    )
    try:
        executor.run(command)
    except StopOutVoid:
        return False
    return True


def many(symbols: dict[str, Symbol]) -> list[Holder]:
    """Accounts of three groups and two currencies, on both sides, some of them hedged."""
    usd = make_group("usd", markup_bid_points=D(3), markup_ask_points=D(2))
    eur = make_group("eur", currency="EUR", stop_out_pct=D(30), margin_call_pct=D(60))
    loose = make_group("loose", protects_balance=False, stop_out_pct=D(0), margin_call_pct=D(20))
    holders = []
    for place, group in enumerate([usd, eur, loose] * 6):
        holder = make_holder(group=group, balance=str(2600 + 350 * place))
        pair = ["EURUSD", "USDJPY", "GBPUSD", "EURGBP"][place % 4]
        side = Side.BUY if place // 4 % 2 else Side.SELL
        deal(holder, pair, "1.50", side)
        if place % 3 == 0:
            deal(holder, pair, "0.20", side.opposite)
        if place % 5 == 0:
            deal(holder, "USDJPY", "0.30")
        holders.append(holder)
    return holders


@pytest.mark.parametrize("pct", ["-2.5", "-4", "2.2"])
def test_a_shock_closes_whom_the_what_if_named(symbols: dict[str, Symbol], pct: str) -> None:
    holders = many(symbols)
    shock = Shock(price_pct=D(pct), prices_pct={"USDJPY": D("1")}, spread_pct=D(150))

    found = ask(shock, limit=500)
    named = {login for login, state in states(found, "after").items() if state == "closed"}
    for name, quote in list(own_board().latest.items()):
        own_board().put(shock.quote(quote, digits=symbols[name].digits))
    closed = {holder.login for holder in holders if stop_out(holder)}

    assert named == closed
    assert 0 < len(closed) < len(holders)
    assert found["after"]["closed"] == len(closed)
    assert found["newly_closed"] == len(closed)


def test_protection_costs_what_the_house_then_pays(symbols: dict[str, Symbol]) -> None:
    holder = make_holder(group=make_group(protects_balance=True), balance="2000")
    deal(holder, "EURUSD", "1.00")
    shock = Shock(prices_pct={"EURUSD": D(-3)})

    found = ask(shock)
    own_board().put(shock.quote(own_board().latest["EURUSD"], digits=5))
    outcome = executor.run(
        StopOut(
            account_id=holder.id, command_id=uuid4(), actor=SYSTEM, cause="staff", quote_time_ms=None, fence=0
        )
    )

    # (1.06700 - 1.10017) x 100,000 = -3,317 against 2,000
    assert found["protection"]["cost"] == "1317.00"
    assert (found["after"]["negative"], found["protection"]["accounts"]) == (1, 1)
    assert D(outcome.payload["compensation"]) == D("1317.00")


def test_the_house_makes_what_clients_lose(symbols: dict[str, Symbol]) -> None:
    holder = make_holder(group=make_group(), balance="100000")
    deal(holder, "EURUSD", "2.00")
    deal(holder, "USDJPY", "1.00", Side.SELL)

    found = ask(Shock(prices_pct={"EURUSD": D(-1)}))

    # EURUSD: bid 1.10000 -> 1.08900, twice 100,000
    rows_ = {row["symbol"]: row for row in found["symbols"]}
    assert (rows_["EURUSD"]["before"], rows_["EURUSD"]["after"]) == ("34.00", "2234.00")
    assert (rows_["EURUSD"]["change"], rows_["USDJPY"]["change"]) == ("2200.00", "0.00")
    assert (rows_["EURUSD"]["price_before"], rows_["EURUSD"]["price_after"]) == ("1.10000", "1.08900")
    assert found["house"]["change"] == "2200.00"


def test_what_is_passed_on_is_not_the_houses_result(symbols: dict[str, Symbol]) -> None:
    group = make_group()
    GroupSymbol.objects.create(group=group, symbol=symbols["EURUSD"], book="a")
    deal(make_holder(group=group, balance="100000"), "EURUSD", "1.00")

    found = ask(Shock(prices_pct={"EURUSD": D(-1)}))

    assert (found["house"]["change"], found["passed_on"]["change"]) == ("0.00", "1100.00")
    assert found["symbols"][0]["passed_on_change"] == "1100.00"


def test_other_levels_call_and_close_others(symbols: dict[str, Symbol], group: TradingGroup) -> None:
    holder = make_holder(group=group, balance="2000")
    deal(holder, "EURUSD", "1.00")  # margin 1,100.17, equity 1,983.00: level 180.24 %

    called = ask(Shock(groups={group.pk: GroupDraft(margin_call_pct=D(190), stop_out_pct=D(180))}))
    closed = ask(Shock(groups={group.pk: GroupDraft(margin_call_pct=D(190), stop_out_pct=D("180.25"))}))

    assert (called["before"]["called"], called["before"]["closed"]) == (0, 0)
    assert (called["newly_called"], called["newly_closed"]) == (1, 0)
    assert (closed["newly_called"], closed["newly_closed"]) == (0, 1)
    assert called["worst"][0]["after"]["level_pct"] == "180.24"


def test_another_leverage_is_what_setting_it_would_hold(
    symbols: dict[str, Symbol], group: TradingGroup
) -> None:
    holder = make_holder(group=group, balance="3000")
    deal(holder, "EURUSD", "1.00")
    deal(holder, "EURUSD", "0.40", Side.SELL)

    found = ask(Shock(groups={group.pk: GroupDraft(leverage_max=30)}))
    (row,) = found["worst"]
    state = AccountState.objects.get(account_id=holder.id)

    assert D(row["before"]["margin"]) == state.margin
    # 1.00 lot of which 0.40 is covered once: (0.6 x 1.10017 + 0.4 x mean) x 100,000 / 30
    assert abs(D(row["after"]["margin"]) - state.margin * 100 / 30) < D("0.02")
    assert row["after"]["state"] == "called"
    assert found["estimated"][1:] != []


def test_a_higher_leverage_than_the_accounts_own_changes_nothing(
    symbols: dict[str, Symbol], group: TradingGroup
) -> None:
    deal(make_holder(group=group, balance="3000"), "EURUSD", "1.00")

    found = ask(Shock(groups={group.pk: GroupDraft(leverage_max=500)}))

    assert found["worst"] == []
    assert [row for row in found["levels"] if row["before"] != row["after"]] == []


def test_what_a_symbol_sets_for_itself_stays(symbols: dict[str, Symbol], group: TradingGroup) -> None:
    GroupSymbol.objects.create(group=group, symbol=symbols["EURUSD"], leverage_max=100)
    deal(make_holder(group=group, balance="2000"), "EURUSD", "1.00")

    assert ask(Shock(groups={group.pk: GroupDraft(leverage_max=10)}))["worst"] == []


def test_a_shock_is_seen_within_reach_only(symbols: dict[str, Symbol]) -> None:
    mine, foreign = make_group("mine"), make_group("foreign")
    for group in (mine, foreign):
        deal(make_holder(group=group, balance="2000"), "EURUSD", "1.00")

    found = ask(Shock(price_pct=D(-5)), reach=frozenset({mine.pk}))

    assert [row["group"] for row in found["worst"]] == ["mine"]
    assert (found["accounts"], found["positions"], found["after"]["closed"]) == (1, 1, 1)
    assert found["house"]["change"] == "5500.00"


def test_a_boundary_is_decided_exactly(symbols: dict[str, Symbol]) -> None:
    group = make_group(stop_out_pct=D(50))
    at, above = (make_holder(group=group, balance=balance) for balance in ("5000.00", "5000.01"))
    for holder in (at, above):
        deal(holder, "EURUSD", "1.00")
    margin = AccountState.objects.get(account_id=at.id).margin  # 1,100.17
    price = D("1.10017") - (D(5000) - margin / 2) / 100_000  # equity 550.085 at the first

    quotes = {**own_board().latest, "EURUSD": Quote("EURUSD", price, price, clock.now_ms())}
    found = ask(Shock(), quotes=quotes)

    assert margin == D("1100.17")
    assert states(found, "before") == {at.login: "closed", above.login: "called"}
    assert (found["after"]["closed"], found["after"]["called"]) == (1, 1)


def test_an_account_without_margin_is_closed_when_nothing_is_left(symbols: dict[str, Symbol]) -> None:
    Symbol.objects.update(hedged_contract_size=0)
    holder = make_holder(group=make_group(), balance="2000")
    deal(holder, "EURUSD", "1.00")
    deal(holder, "EURUSD", "1.00", Side.SELL)

    found = ask(Shock(spread_pct=D(12_000)))
    (row,) = found["worst"]

    assert (row["before"]["margin"], row["before"]["level_pct"]) == ("0.00", None)
    assert (row["after"]["state"], row["after"]["level_pct"]) == ("closed", None)


def test_what_has_no_price_is_named(symbols: dict[str, Symbol], group: TradingGroup) -> None:
    deal(make_holder(group=group, balance="2000"), "EURUSD", "1.00")
    quotes = {name: quote for name, quote in own_board().latest.items() if name != "EURUSD"}

    found = ask(Shock(price_pct=D(-50)), quotes=quotes)

    assert found["unpriced"] == {"accounts": 1, "symbols": ["EURUSD"]}
    assert (found["after"]["closed"], found["worst"]) == (0, [])
    nothing = {"before": None, "after": None, "change": None}
    assert found["house"] == nothing
    assert [row["change"] for row in found["symbols"]] == [None]
    assert [found[side]["clients_floating"] for side in ("before", "after")] == [None, None]
    assert any("`unpriced` names the rest" in note for note in found["estimated"])


def test_sums_count_what_has_a_price_on_both_sides(symbols: dict[str, Symbol], group: TradingGroup) -> None:
    for symbol in ("EURUSD", "GBPUSD"):
        deal(make_holder(group=group, balance="20000"), symbol, "1.00")
    quotes = {name: quote for name, quote in own_board().latest.items() if name != "EURUSD"}

    found = ask(Shock(price_pct=D(-1)), quotes=quotes)

    alone = {row["symbol"]: row["change"] for row in found["symbols"]}
    assert alone["EURUSD"] is None
    assert (found["house"]["change"], found["house"]["change"] > "0") == (alone["GBPUSD"], True)
    change = D(found["after"]["clients_floating"]) - D(found["before"]["clients_floating"])
    assert change == -D(found["house"]["change"])


def test_an_edited_group_drafts_what_differs(symbols: dict[str, Symbol], group: TradingGroup) -> None:
    edited = TradingGroup.objects.get(pk=group.pk)
    edited.description, edited.stop_out_pct = "renamed", D(70)

    assert draft_of(edited).changes == {"stop_out_pct": D(70)}


def test_nothing_is_changed_by_it(symbols: dict[str, Symbol], group: TradingGroup, holder: Holder) -> None:
    deal(holder, "EURUSD", "1.00")
    before = (rows.state_of(holder), TradingGroup.objects.values().get(pk=group.pk))

    ask(Shock(price_pct=D(-90), groups={group.pk: GroupDraft(leverage_max=1, stop_out_pct=D(99))}))

    assert (rows.state_of(holder), TradingGroup.objects.values().get(pk=group.pk)) == before


def test_an_empty_house_has_nothing_to_lose(symbols: dict[str, Symbol]) -> None:
    found = ask(Shock(price_pct=D(-50)))

    assert (found["accounts"], found["positions"], found["worst"], found["symbols"]) == (0, 0, [], [])
    assert found["house"] == {"before": "0.00", "after": "0.00", "change": "0.00"}
