"""The snapshot of a what-if: only what changed is read again, and the result is what a whole read gives."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from apps.accounts.models import AccountState
from apps.groups.models import TradingGroup
from apps.risk.selectors import snapshot, snapshot_rows
from apps.risk.selectors.snapshot import Snapshot
from apps.trading.domain.orders import Side
from apps.trading.models import Position
from apps.trading.services import balances, executor
from tests.factories import rows
from tests.factories.rows import D, Holder, close_order, make_group, make_holder, market_order
from tests.factories.triggering import await_transactions

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh(db: None) -> None:
    snapshot.forget()


@pytest.fixture
def whole_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often everything was read."""
    counted: list[int] = []
    read = snapshot_rows.read
    monkeypatch.setattr(snapshot_rows, "read", lambda: (counted.append(1), read())[1])
    return counted


def present() -> Snapshot:
    """Read once nothing older is under way on the server: what that may tell of would be read again too."""
    await_transactions()
    return snapshot.snapshot(seconds=0)


def content(house: Snapshot) -> tuple[Any, Any]:
    """Return a snapshot's accounts and positions by what they mean, in an order of their own."""
    accounts = zip(
        house.account_ids.tolist(),
        house.group_ids.tolist(),
        house.leverages.tolist(),
        [house.currencies[place] for place in house.currency],
        house.funds.tolist(),
        house.margins.tolist(),
        strict=True,
    )
    positions = zip(
        house.account_ids[house.account].tolist(),
        [str(house.kinds[place]) for place in house.kind],
        house.lots.tolist(),
        house.cost.tolist(),
        house.swap.tolist(),
        strict=True,
    )
    return list(accounts), sorted(positions)


def read_whole() -> Snapshot:
    snapshot.forget()
    return present()


def deal(holder: Holder, symbol: str = "EURUSD", lots: str = "1.00", side: Side = Side.BUY) -> None:
    assert executor.run(market_order(holder, side, symbol, lots=lots)).order.status == "filled"


def test_only_what_changed_is_read_again(group: TradingGroup, whole_reads: list[int]) -> None:
    idle, busy, gone = (make_holder(group=group) for _ in range(3))
    for holder in (idle, busy, gone):
        deal(holder)
    before = present()
    deal(busy, "USDJPY", "0.30", Side.SELL)  # a kind that nobody held
    executor.run(close_order(gone, Position.objects.get(account_id=gone.id).pk))
    deal(make_holder(group=make_group("eur", currency="EUR")), "EURGBP")
    balances.change_account(account_id=idle.id, leverage=50, command_id=uuid4(), actor=rows.TESTER)

    after = present()

    assert whole_reads == [1]
    assert (len(before.lots), len(after.lots)) == (3, 4)
    assert content(after) == content(read_whole())


def test_an_account_that_nothing_happened_to_is_not_read(group: TradingGroup) -> None:
    idle, busy = make_holder(group=group), make_holder(group=group)
    for holder in (idle, busy):
        deal(holder)
    await_transactions()
    known = snapshot_rows.read()
    deal(busy)

    found = snapshot_rows._rows(snapshot_rows.CHANGED, (known.open_xact, snapshot_rows.EVENTS_MAX))

    assert found.accounts.id.tolist() == [busy.id]
    assert found.positions.account_id.tolist() == [busy.id, busy.id]


def test_nothing_changed_is_the_same_house_later(group: TradingGroup, whole_reads: list[int]) -> None:
    deal(make_holder(group=group))
    before = present()

    after = present()

    assert after.lots is before.lots
    assert after.at > before.at
    assert whole_reads == [1]


def test_a_transaction_that_was_open_is_read_once_it_ends(
    group: TradingGroup, whole_reads: list[int], owner: psycopg.Connection[Any]
) -> None:
    early, late = make_holder(group=group), make_holder(group=group)
    for holder in (early, late):
        deal(holder)
    with owner.transaction():  # takes its number first and ends last
        owner.execute(
            """
            INSERT INTO accounts_accountevent
                (account_id, seq, type, at, command_id, fingerprint, actor, request_id, payload)
            SELECT account_id, seq + 1, type, at, gen_random_uuid(), '', actor, '', payload
            FROM accounts_accountevent WHERE account_id = %s ORDER BY seq DESC LIMIT 1
            """,
            [late.id],
        )
        owner.execute("UPDATE accounts_accountstate SET seq = seq + 1 WHERE account_id = %s", [late.id])
        owner.execute("UPDATE trading_position SET swap = -7 WHERE account_id = %s", [late.id])
        deal(early)
        assert snapshot.snapshot(seconds=0).swap.tolist() == [0, 0, 0]

    after = snapshot.snapshot(seconds=0)

    assert sorted(after.swap.tolist()) == [-7, 0, 0]
    assert whole_reads == [1]


def test_a_change_that_the_journal_does_not_tell_of_has_everything_read(
    group: TradingGroup, holder: Holder, whole_reads: list[int]
) -> None:
    deal(holder)
    present()
    state = AccountState.objects.get(account_id=holder.id)
    AccountState.objects.filter(account_id=holder.id).update(seq=state.seq + 1, balance=D("77"))

    after = present()

    assert after.funds.tolist() == [77.0]
    assert whole_reads == [1, 1]


def test_too_many_changes_have_everything_read(
    group: TradingGroup, whole_reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    holders = [make_holder(group=group) for _ in range(3)]
    present()
    monkeypatch.setattr(snapshot_rows, "EVENTS_MAX", 2)
    for holder in holders:
        deal(holder)

    after = present()

    assert whole_reads == [1, 1]
    assert len(after.lots) == 3


def test_everything_is_read_again_at_times(
    group: TradingGroup, holder: Holder, whole_reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    present()
    monkeypatch.setattr(snapshot, "WHOLE_S", 0.0)

    present()

    assert whole_reads == [1, 1]


def test_a_position_that_goes_while_its_kind_is_looked_up_is_not_counted(
    group: TradingGroup, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal(holder)
    position_id = Position.objects.get(account_id=holder.id).pk
    kinds = snapshot_rows.kinds

    def late(account_ids: list[int]) -> dict[int, snapshot_rows.Kind]:
        executor.run(close_order(holder, position_id))
        return kinds(account_ids)

    monkeypatch.setattr(snapshot_rows, "kinds", late)

    assert present().lots.tolist() == []


def test_a_read_within_a_second_is_not_repeated(group: TradingGroup, holder: Holder) -> None:
    before = snapshot.snapshot(seconds=60)
    deal(holder)

    assert snapshot.snapshot(seconds=60) is before
