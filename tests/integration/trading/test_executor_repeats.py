"""A repeated command answers its first outcome; edited terms hold for the next command."""

from dataclasses import replace
from decimal import Decimal

import pytest

from apps.accounts.domain.ledger import BalanceKind
from apps.groups.models import GroupSymbol, TradingGroup
from apps.market.models import Symbol
from apps.trading.domain.commands import ChangeBalance, balance_command_id
from apps.trading.domain.filling import SymbolNotOffered
from apps.trading.domain.orders import Side
from apps.trading.models import Deal, Order, Position
from apps.trading.services import executor
from apps.trading.services.batch import ClientOrderIdReused
from tests.factories import rows
from tests.factories.rows import TESTER, event_of, lines_of, market_order, state_of, together

D = Decimal


def test_the_same_id_with_the_same_content_returns_the_first_outcome(holder):
    command = market_order(holder, client_order_id="once")
    first = executor.run(command)
    rows.show({"EURUSD": ("1.20000", "1.20020")})

    again = executor.run(command)

    assert again.repeated
    assert (again.seq, again.payload) == (first.seq, first.payload)
    assert (Order.objects.count(), Deal.objects.count(), Position.objects.count()) == (1, 1, 1)
    assert state_of(holder)[3] == 3


def test_a_repeat_of_the_same_number_in_another_form_is_the_same_content(holder):
    executor.run(market_order(holder, lots="0.1", client_order_id="once"))

    assert executor.run(market_order(holder, lots="0.100", client_order_id="once")).repeated


@pytest.mark.parametrize(
    "change", [{"lots": "0.20"}, {"side": Side.SELL}, {"comment": "x"}, {"symbol": "GBPUSD"}]
)
def test_the_same_id_with_other_content_is_refused(holder, change):
    executor.run(market_order(holder, client_order_id="once"))

    with pytest.raises(ClientOrderIdReused) as refused:
        executor.run(market_order(holder, client_order_id="once", **change))

    assert (int(refused.value.status), refused.value.code) == (409, "client_order_id_reused")
    assert Order.objects.count() == 1
    assert state_of(holder)[3] == 3


def test_a_rejected_order_keeps_its_id_taken(holder):
    first = executor.run(market_order(holder, lots="50", client_order_id="once"))
    rows.deposit(holder.id, "1000000")

    again = executor.run(market_order(holder, lots="50", client_order_id="once"))

    assert again.repeated
    assert again.payload == first.payload
    assert not Position.objects.exists()


def test_two_accounts_may_use_the_same_id(group, holder):
    other = rows.make_holder(group=group)

    executor.run(market_order(holder, client_order_id="mine"))
    outcome = executor.run(market_order(other, client_order_id="mine"))

    assert not outcome.repeated
    assert Order.objects.filter(client_order_id="mine").count() == 2


def test_the_same_id_twice_in_one_batch_is_booked_once(holder):
    command = market_order(holder, client_order_id="twin")

    first, second, other = together([command, command, replace(command, volume=D("0.30"))])

    assert not first.result(10).repeated
    assert second.result(10).repeated
    assert second.result(10).payload == first.result(10).payload
    with pytest.raises(ClientOrderIdReused):
        other.result(10)
    assert Order.objects.get().volume == D("0.10")
    assert state_of(holder)[3] == 3


def test_a_deposit_reference_counts_once(holder):
    command = ChangeBalance(
        account_id=holder.id,
        command_id=balance_command_id(account_id=holder.id, reference="wire-1"),
        actor=TESTER,
        kind=BalanceKind.DEPOSIT,
        amount=D("250.00"),
        reference="wire-1",
    )

    executor.run(command)
    again = executor.run(command)

    assert again.repeated
    assert state_of(holder) == (D("10250.00"), D(0), D(0), 3)
    assert lines_of(event_of(command.command_id)) == {"client": D("250.00"), "cash": D("-250.00")}


@pytest.mark.parametrize("bulk", [False, True], ids=["save", "update"])
def test_edited_terms_hold_for_the_next_order(group, holder, bulk):
    executor.run(market_order(holder, lots="0.10"))

    if bulk:
        TradingGroup.objects.filter(pk=group.pk).update(markup_ask_points=10)
    else:
        group.markup_ask_points = D(10)
        group.save()
    second = executor.run(market_order(holder, lots="0.10"))

    assert second.order.average_price == D("1.10027")
    versions = list(Deal.objects.order_by("pk").values_list("terms_version", flat=True))
    assert versions[1] == versions[0] + 1


def test_a_symbol_edit_holds_for_the_next_order(symbols, holder):
    assert executor.run(market_order(holder, lots="0.10")).order.status == "filled"

    Symbol.objects.filter(name="EURUSD").update(volume_min=D("0.50"))

    assert executor.run(market_order(holder, lots="0.10")).refusal == "invalid_volume"


def test_an_override_holds_for_the_next_order(group, symbols, holder):
    assert executor.run(market_order(holder)).order.status == "filled"

    GroupSymbol.objects.create(group=group, symbol=symbols["EURUSD"], is_offered=False)

    with pytest.raises(SymbolNotOffered):
        executor.run(market_order(holder))


def test_an_old_quote_is_refused_until_a_new_one_comes(symbols, holder):
    Symbol.objects.update(quote_age_max_s=2)
    rows.show(age_ms=2_500)
    refused = executor.run(market_order(holder))
    rows.show()

    assert refused.refusal == "off_quotes"
    assert executor.run(market_order(holder)).order.status == "filled"
