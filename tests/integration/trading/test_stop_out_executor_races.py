"""Stop-outs race with clients, with each other and through two executors: nothing is closed twice."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from apps.accounts.models import AccountEvent, AccountState
from apps.groups.models import TradingGroup
from apps.market.models import Symbol
from apps.trading.domain.commands import StopOut
from apps.trading.domain.orders import Side
from apps.trading.models import Deal, Order, Position
from apps.trading.services import executor
from apps.trading.services.executor import Executor
from rtx.kernel.actor import Actor
from tests.factories import booked, books, rows
from tests.factories.rows import Holder

D = Decimal
MONITOR = Actor.system("monitor")
LOTS = ("0.60", "0.20", "0.20", "0.10")


def _race(works: list[Callable[[], Any]]) -> list[Any]:
    """Let threads begin at the same moment; return what each returned or raised."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        gate.wait(30)
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - it is the result that the test looks at
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def _kind(result: Any) -> str:
    if isinstance(result, Exception):
        return str(getattr(result, "code", repr(result)))
    return "repeated" if result.repeated else str(result.type)


def stop(holder: Holder, **more: Any) -> StopOut:
    return StopOut(**{"account_id": holder.id, "command_id": uuid4(), "actor": MONITOR, **more})


@pytest.fixture
def exposed(symbols: dict[str, Symbol], group: TradingGroup) -> Holder:
    """1.10 lots of EURUSD in four positions, with orders that reserve margin; far below stop-out."""
    Symbol.objects.filter(name="EURUSD").update(margin_rate_pending=1)
    holder = rows.make_holder(group=group, balance="2000")
    for lots in LOTS:
        assert executor.run(rows.market_order(holder, lots=lots)).refusal is None
    for lots in ("0.1", "0.2"):
        assert booked.run(holder, books.buy_limit("1.00000", lots=lots)).refusal is None
    rows.show({"EURUSD": ("1.00000", "1.00017")})
    return holder


def _closed_once(holder: Holder) -> None:
    """Check that what was closed of each position is what had been opened, and that the books agree."""
    opened: Counter[int] = Counter()
    closed: Counter[int] = Counter()
    for deal in Deal.objects.filter(account_id=holder.id):
        (opened if deal.entry == "in" else closed)[deal.position_id] += deal.volume
    left = {held.pk: held.volume for held in Position.objects.filter(account_id=holder.id)}
    assert {key: lots - closed[key] for key, lots in opened.items() if lots != closed[key]} == left
    seqs = list(
        AccountEvent.objects.filter(account_id=holder.id).order_by("seq").values_list("seq", flat=True)
    )
    assert seqs == list(range(1, len(seqs) + 1))
    assert booked.verified() > 0


def test_stop_outs_and_client_closes_close_each_position_once(exposed: Holder) -> None:
    both = (executor._executor, Executor())
    positions = list(Position.objects.filter(account_id=exposed.id).values_list("pk", flat=True))
    waiting = list(Order.objects.filter(account_id=exposed.id, status="working").values_list("pk", flat=True))
    works: list[Callable[[], Any]] = []
    for number in range(4):
        way = both[number % 2]
        works.append(lambda way=way: way.run(stop(exposed)))
        works += [lambda way=way, key=key: way.run(rows.close_order(exposed, key)) for key in positions]
        works += [lambda way=way, key=key: booked_cancel(way, exposed, key) for key in waiting]

    kinds = Counter(_kind(result) for result in _race(works))

    allowed = {
        "order_filled",
        "order_canceled",
        "stopped_out",
        "balance_protected",
        "stop_out_void",
        "position_not_found",
        "order_not_working",
    }
    assert set(kinds) <= allowed, kinds
    assert not Position.objects.filter(account_id=exposed.id).exists()
    assert AccountState.objects.get(account_id=exposed.id).balance <= 0
    _closed_once(exposed)
    if AccountState.objects.get(account_id=exposed.id).balance < 0:  # the last close was the client's
        assert executor.run(stop(exposed)).type == "balance_protected"
    assert AccountState.objects.get(account_id=exposed.id).balance == 0
    _closed_once(exposed)


def booked_cancel(way: Executor, holder: Holder, order_id: int) -> Any:
    return way.run(booked.of(holder, books.cancel(order_id)))


def test_many_stop_outs_of_one_id_are_one(exposed: Holder) -> None:
    both, name = (executor._executor, Executor()), uuid4()

    results = _race(
        [
            lambda number=number: both[number % 2].run(stop(exposed, command_id=name, fence=number))
            for number in range(20)
        ]
    )

    assert Counter(map(_kind, results)) == {"stopped_out": 1, "repeated": 19}
    assert AccountEvent.objects.filter(account_id=exposed.id, type="stopped_out").count() == 1
    assert Order.objects.filter(account_id=exposed.id, reason="stop_out").count() == len(LOTS)
    _closed_once(exposed)


def test_many_stop_outs_of_many_ids_close_once(exposed: Holder) -> None:
    both = (executor._executor, Executor())

    results = _race([lambda number=number: both[number % 2].run(stop(exposed)) for number in range(20)])

    assert Counter(map(_kind, results)) == {"stopped_out": 1, "stop_out_void": 19}
    _closed_once(exposed)


def test_new_orders_that_race_never_end_below_the_level_unseen(exposed: Holder) -> None:
    """Orders of the client lose against the fall; whatever wins, the account is above or stopped out."""
    rows.show({"EURUSD": ("1.08500", "1.08517")})
    works: list[Callable[[], Any]] = [lambda: executor.run(stop(exposed)) for _ in range(5)]
    works += [
        lambda side=side: executor.run(rows.market_order(exposed, side, lots="0.10"))
        for side in (Side.BUY, Side.SELL) * 5
    ]

    kinds = Counter(_kind(result) for result in _race(works))

    assert set(kinds) <= {"stopped_out", "stop_out_void", "order_filled", "order_rejected"}
    _closed_once(exposed)


@pytest.mark.parametrize("stops_first", [False, True])
def test_one_batch_takes_a_close_and_a_stop_out(
    group: TradingGroup, symbols: dict[str, Symbol], stops_first: bool
) -> None:
    """They take turns whatever came first; the loser finds nothing to close, and the debt is made good."""
    holder = rows.make_holder(group=group, balance="200")
    position = executor.run(rows.market_order(holder, lots="0.10")).order
    assert position is not None
    assert position.position_id is not None
    rows.show({"EURUSD": ("1.00000", "1.00017")})
    commands = [rows.close_order(holder, position.position_id), stop(holder)]

    futures = rows.together([*reversed(commands)] if stops_first else [*commands])
    results = _race([future.result for future in futures])

    kinds = sorted(map(_kind, results))
    assert kinds in (["balance_protected", "order_filled"], ["position_not_found", "stopped_out"])
    assert AccountState.objects.get(account_id=holder.id).balance == 0
    _closed_once(holder)
