"""An account as of an instant equals what the interface showed at that instant."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from apps.groups.models import TradingGroup
from apps.trading.domain.commands import CancelOrder, PlacePending
from apps.trading.domain.orders import OrderType, Side
from apps.trading.selectors import books, replays
from apps.trading.services import executor
from apps.trading.tasks import roll_over
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.nights import Nights
from tests.factories.rows import Holder, close_order, market_order

pytestmark = pytest.mark.django_db
D = Decimal
MINUTE = timedelta(minutes=1)


@pytest.fixture
def holder(nights: Nights) -> Holder:
    return rows.make_holder(group=nights.group(markup_bid_points=D(2), markup_ask_points=D(3)))


def place(holder: Holder, side: Side, symbol: str, lots: str) -> int:
    outcome = executor.run(market_order(holder, side, symbol, lots=lots))
    assert outcome.order.status == "filled"
    return outcome.order.position_id


def live(holder: Holder) -> dict:
    """What the API answers now."""
    return {
        "account": books.account_views([holder.id])[0],
        "positions": books.position_views([holder.id]),
    }


def replayed(holder: Holder, at: datetime) -> dict:
    told = replays.account_replay(login=holder.login, at=at)
    return {"account": told["account"], "positions": told["positions"]}


def test_replay_equals_what_the_interface_showed(nights, holder, owner):
    shown: dict[datetime, dict] = {}

    def remember(moment: datetime, prices: dict | None = None) -> None:
        nights.go(moment, prices)
        shown[moment] = live(holder)
        nights.set_clock(moment + timedelta(seconds=1))

    remember(nights.noon + MINUTE)
    first = place(holder, Side.BUY, "EURUSD", "1.00")
    second = place(holder, Side.SELL, "EURGBP", "0.50")
    remember(nights.noon + 2 * MINUTE, {"EURUSD": ("1.10300", "1.10310"), "EURGBP": ("0.85800", "0.85810")})
    place(holder, Side.BUY, "USDJPY", "0.30")
    executor.run(close_order(holder, first, lots="0.40"))
    remember(nights.noon + 3 * MINUTE, {"USDJPY": ("150.500", "150.520"), "GBPUSD": ("1.26000", "1.26010")})
    nights.set_clock(nights.rolled_at() + MINUTE)
    rows.show()
    roll_over()
    remember(nights.rolled_at() + 2 * MINUTE)
    executor.run(close_order(holder, second))
    rows.deposit(holder.id, "123.45")
    remember(nights.rolled_at() + 3 * MINUTE)
    TradingGroup.objects.update(markup_bid_points=D(50))
    owner.execute(
        "UPDATE market_configurationchange SET at = %s "
        "WHERE id = (SELECT max(id) FROM market_configurationchange)",
        [nights.rolled_at(days=1)],
    )

    nights.set_clock(nights.rolled_at(days=3))
    assert len(shown) == 5
    for moment, then in shown.items():
        assert replayed(holder, moment) == then
    assert shown[nights.rolled_at() + 2 * MINUTE]["positions"][0]["swap"] == "-3.00"


def test_replay_names_quotes_and_rates(nights, holder):
    place(holder, Side.BUY, "EURGBP", "1.00")
    nights.go(nights.noon + MINUTE, {"EURGBP": ("0.86000", "0.86010"), "GBPUSD": ("1.30000", "1.30010")})
    nights.set_clock(nights.noon + 2 * MINUTE)

    told = replays.account_replay(login=holder.login, at=nights.noon + MINUTE)

    quotes = {quote["symbol"]: quote for quote in told["quotes"]}
    assert set(quotes) == {"EURGBP", "GBPUSD"}
    assert (quotes["EURGBP"]["raw_bid"], quotes["EURGBP"]["bid"]) == ("0.86000", "0.85998")
    assert (quotes["GBPUSD"]["origin"], quotes["GBPUSD"]["age_s"]) == ("tick", 0.0)
    assert told["rates"] == [
        {"from": "GBP", "to": "USD", "side": "sold", "rate": "1.29998", "through": ["GBPUSD"]}
    ]
    assert told["missing"] == []


def test_missing_quote_is_said_and_nothing_is_valued(nights, holder, owner):
    place(holder, Side.BUY, "EURUSD", "1.00")
    owner.execute("DELETE FROM market_tick")
    nights.set_clock(nights.noon + MINUTE)

    told = replays.account_replay(login=holder.login, at=nights.noon)

    assert told["missing"] == ["no quote of EURUSD is stored at or before that instant"]
    assert (told["account"]["equity"], told["account"]["balance"]) == (None, "10000.00")


def test_orders_that_waited_then_are_shown(nights, holder):
    asked = PlacePending(
        account_id=holder.id,
        command_id=uuid4(),
        actor=holder.actor,
        client_order_id="waits",
        symbol="EURUSD",
        side=Side.BUY,
        volume=D("0.20"),
        type=OrderType.LIMIT,
        price=D("1.09000"),
        stop_loss=D("1.08000"),
    )
    order_id = executor.run(asked).order.id
    nights.set_clock(nights.noon + MINUTE)
    executor.run(CancelOrder(account_id=holder.id, command_id=uuid4(), actor=holder.actor, order_id=order_id))
    nights.set_clock(nights.noon + 2 * MINUTE)

    (order,) = replays.account_replay(login=holder.login, at=nights.noon + MINUTE / 2)["orders"]

    assert (order["id"], order["status"], order["price"]) == (order_id, "working", "1.09000")
    assert (order["stop_loss"], order["volume"]) == ("1.08000", "0.2")
    assert replays.account_replay(login=holder.login, at=nights.noon + MINUTE)["orders"] == []


# -- the command
# ---------------------------------------------------------------------------------------------------------


def run(*args: str) -> str:
    out = StringIO()
    call_command("replay", *args, stdout=out)
    return out.getvalue()


def test_command_prints_a_readable_account(nights, holder):
    place(holder, Side.BUY, "EURGBP", "1.00")
    nights.set_clock(nights.noon + MINUTE)

    said = run("--account", str(holder.login), "--at", clock.rfc3339(nights.noon))

    assert f"Account {holder.login} (standard, USD, 1:500, hedging, active) at" in said
    assert "balance              10000.00 USD" in said
    assert "Working orders: none" in said
    assert "GBP   USD  bought" in said
    assert "Not valued" not in said


def test_command_prints_json(nights, holder):
    place(holder, Side.BUY, "EURUSD", "1.00")
    nights.set_clock(nights.noon + MINUTE)

    told = json.loads(run("--account", str(holder.login), "--at", clock.rfc3339(nights.noon), "--json"))

    assert told["positions"][0]["symbol"] == "EURUSD"
    assert told["account"]["margin"] == "220.04"  # 100,000 EUR / 500 x 1.1002


def test_command_takes_an_offset(nights, holder):
    place(holder, Side.BUY, "EURUSD", "1.00")
    nights.set_clock(nights.noon + MINUTE)

    said = run("--account", str(holder.login), "--at", f"{nights.noon:%Y-%m-%d}T14:00:00+02:00")

    assert "EURUSD" in said


@pytest.mark.parametrize(
    ("account", "at", "problem"),
    [
        ("999999", "2026-01-01T00:00:00Z", "There is no account 999999"),
        (None, "2020-01-01T00:00:00Z", "was opened at"),
        (None, "2199-01-01T00:00:00Z", "lies in the future"),
        (None, "yesterday", "no RFC 3339 time"),
        (None, "2026-01-01T00:00:00", "has no offset"),
    ],
)
def test_command_says_what_is_wrong(nights, holder, account, at, problem):
    with pytest.raises(CommandError, match=problem):
        run("--account", account or str(holder.login), "--at", at)
