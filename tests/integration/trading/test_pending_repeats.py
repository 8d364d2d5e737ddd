"""Repeated commands about waiting orders answer their first outcome, an id names one request; guards."""

from decimal import Decimal

import pytest

from apps.trading.domain.orders import RejectReason, TimeInForce
from apps.trading.domain.triggers import TriggerVoid
from apps.trading.models import Deal, Order, Position
from apps.trading.services import executor
from apps.trading.services.batch import ClientOrderIdReused
from tests.factories.booked import of, order_row, quoted, run, verified
from tests.factories.books import buy, buy_limit, buy_stop, cancel, close, close_all, trigger

D = Decimal


@pytest.fixture(autouse=True)
def _books_agree(holder):
    """After every test here all books are derived again."""
    yield
    verified()


def test_a_repeated_pending_order_returns_its_first_outcome(holder):
    command = of(holder, buy_stop("1.10500", client_order_id="once"))
    first = executor.run(command)
    run(holder, cancel(first.order.id))

    again = executor.run(command)

    assert (again.repeated, again.seq, again.payload) == (True, first.seq, first.payload)
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"price": D("1.10501")},
        {"volume": D("0.2")},
        {"stop_loss": D("1.09000")},
        {"trailing_points": 5},
        {"time_in_force": TimeInForce.DAY},
        {"comment": "x"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_an_id_does_not_name_two_orders(holder, other):
    run(holder, buy_stop("1.10500", client_order_id="once"))

    with pytest.raises(ClientOrderIdReused):
        run(holder, buy_stop("1.10500", client_order_id="once"), **other)

    assert Order.objects.count() == 1


def test_an_id_does_not_name_an_order_and_something_else(holder):
    position_id = run(holder, buy("EURUSD", lots="0.1", client_order_id="once")).order.position_id

    for command in (
        buy_limit("1.09000", client_order_id="once"),
        close(position_id, client_order_id="once"),
        close_all(client_order_id="once"),
    ):
        with pytest.raises(ClientOrderIdReused):
            run(holder, command)

    assert Position.objects.count() == 1


def test_a_repeated_trigger_fills_once(holder):
    number = run(holder, buy_stop("1.10500", lots="0.1")).order.id
    command = of(holder, trigger(number, "1.10500", quoted("1.10500", "1.10517")))
    first = executor.run(command)
    executor._executor._runner.forget()

    again = executor.run(of(holder, command, raw=quoted("1.10600", "1.10617"), unwatched_ms=99))

    assert (again.repeated, again.payload) == (True, first.payload)
    assert Deal.objects.count() == 1


# --- guards ----------------------------------------------------------------------------------------------


class Refusing:
    """A guard that refuses whatever adds exposure."""

    def begin(self, cursor, asked, views, now):
        """Read nothing."""

    def refusal(self, command, book, market):
        """Refuse."""
        return RejectReason.CLOSE_ONLY

    def note(self, command, book, outcome):
        """Learn nothing."""


@pytest.fixture
def guarded(monkeypatch):
    """Orders stand before one guard that refuses."""
    monkeypatch.setattr(executor._executor._runner._guards, "_guards", [Refusing()])


def test_a_guard_rejects_an_order_that_fires_and_no_other(holder, guarded, monkeypatch):
    with monkeypatch.context() as unguarded:
        unguarded.setattr(executor._executor._runner._guards, "_guards", [])
        number = run(holder, buy_stop("1.10500", lots="0.1")).order.id

    with pytest.raises(TriggerVoid):
        run(holder, trigger(number, "1.10500", quoted("1.10400", "1.10417")))
    still = order_row(number).status
    fired = run(holder, trigger(number, "1.10500", quoted("1.10500", "1.10517")))

    assert (still, fired.type, order_row(number).status) == ("working", "order_rejected", "rejected")
    assert order_row(number).reject_reason == "close_only"


def test_a_guarded_order_is_stored_as_rejected(holder, guarded):
    outcome = run(holder, buy_limit("1.09000"))

    stored = order_row(outcome.order.id)
    assert (stored.status, stored.type, stored.reject_reason) == ("rejected", "limit", "close_only")
