"""The soak's checks find nothing in a clean broker, and name whatever is wrong."""

from decimal import Decimal
from typing import Any, cast

import pytest

from apps.accounts.models import AccountEvent
from apps.market.models import LastQuote, Symbol
from apps.trading.domain.orders import Side
from apps.trading.models import Order
from apps.trading.services import executor
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.rows import Holder
from tests.soak import checks, solvency
from tests.soak.plan import Contract, Plan, View
from tests.soak.player import Player, Record, Seat

D = Decimal


class Seen:
    """What is left of a trader's program when the soak has ended."""

    def __init__(self, holder: Holder) -> None:
        self.seat = Seat(holder.id, holder.login, "", "standard", True)
        self.record = Record()
        told = AccountEvent.objects.filter(account_id=holder.id).order_by("seq")
        self.record.events = list(told.values_list("seq", "type"))
        for name, number in Order.objects.filter(account_id=holder.id).values_list("client_order_id", "id"):
            self.record.placed[name] = number
            self.record.asked["order.market"] += 1
            self.record.answered["order.market", "filled"] += 1

    @property
    def all(self) -> list[Player]:
        """The only trader there is."""
        return [cast(Player, self)]


@pytest.fixture
def seen(holder: Holder) -> Seen:
    """A trader who bought, sold and closed."""
    for symbol in Symbol.objects.all():
        bid, ask = rows.PRICES[symbol.name]
        LastQuote.objects.create(symbol=symbol, bid=D(bid), ask=D(ask), time=clock.now())
    bought = executor.submit(rows.market_order(holder, client_order_id="first")).result()
    executor.submit(rows.market_order(holder, Side.SELL, "GBPUSD", client_order_id="second")).result()
    position = cast(Any, bought.order).position_id
    executor.submit(rows.close_order(holder, position, client_order_id="third")).result()
    return Seen(holder)


def test_a_clean_broker_shows_no_difference(seen):
    found = [
        *checks.answers(seen.all),
        *checks.streams(seen.all),
        *checks.ids(seen.all),
        *checks.lives(),
        *checks.ledger(),
    ]

    assert found == []
    assert checks.caught_up(seen.all)
    assert checks.event_counts()["order_filled"] == 3


def test_a_gap_in_a_stream_is_named(seen):
    del seen.record.events[2]

    assert checks.streams(seen.all) == [
        f"account {seen.seat.login}: the journal has 5 events, the stream brought 4; they part after 2"
    ]


def test_a_stream_that_has_not_ended_yet_is_waited_for(seen):
    seen.record.events.pop()

    assert not checks.caught_up(seen.all)


def test_a_request_without_an_answer_is_named(seen):
    seen.record.asked["order.cancel"] += 1

    assert checks.answers(seen.all) == [f"account {seen.seat.login}: 1 times order.cancel, 0 answers"]


def test_an_answer_that_is_our_fault_is_named(seen):
    seen.record.asked["order.modify"] += 1
    seen.record.answered["order.modify", "internal"] += 1

    assert checks.answers(seen.all) == [f"account {seen.seat.login}: order.modify -> internal"]


def test_ids_that_do_not_agree_are_named(seen):
    number = seen.record.placed.pop("first")
    seen.record.placed["fourth"] = number
    seen.record.refused.add("second")

    assert [text.partition(": ")[2] for text in checks.ids(seen.all)] == [
        f"fourth was answered as order {number}, stored is None",
        "nobody was told of first",
        "second was refused and is stored",
        "3 ids acknowledged, 2 in the journal",
    ]


def test_an_order_in_another_state_than_the_journal_says_is_named(seen, owner):
    number = seen.record.placed["first"]
    owner.execute("ALTER TABLE trading_order DISABLE TRIGGER USER")
    owner.execute("UPDATE trading_order SET status = 'working' WHERE id = %s", [number])

    assert checks.lives() == [f"order {number} is working, the journal says filled"]


def test_a_ledger_that_does_not_balance_is_named(seen, owner):
    owner.execute("ALTER TABLE accounts_ledgerline DISABLE TRIGGER USER")
    owner.execute("UPDATE accounts_ledgerline SET amount = amount + 1 WHERE ledger = 'cash'")

    assert checks.ledger() == ["USD: all lines add up to 1.00"]


def test_openings_are_valued_anew(seen, monkeypatch):
    assert solvency.opened_beyond_means(fills_per_account=10) == ([], 2)

    monkeypatch.setattr(solvency, "TOLERANCE", D(-1000))  # as if a thousand times the margin were required
    found, checked = solvency.opened_beyond_means(fills_per_account=10)

    assert (len(found), checked) == (2, 2)
    assert "event 3: free margin" in found[0]


def test_a_plan_repeats_itself_with_its_seed():
    contracts = [Contract("EURUSD", 5, ("0.10",), 10)]
    quotes = {"EURUSD": (D("1.10000"), D("1.10017"))}

    first, second = (
        [Plan(seed="1:1", login=1, contracts=contracts, hedging=True).step(View(), quotes) for _ in range(3)]
        for _ in range(2)
    )

    assert first == second
    assert first[0] is not None
