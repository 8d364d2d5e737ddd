"""What the dispatcher of liquidations tells about itself, without its thread."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from apps.risk.services.liquidation_asks import WORST, Ask, Facts, fitting
from apps.risk.services.liquidation_dispatch import Dispatcher
from apps.trading.domain.commands import Command


def test_it_tells_for_how_long_it_has_waited_for_an_answer() -> None:
    futures: list[Future[Any]] = []

    def submit(commands: Sequence[Command], effects: Any) -> list["Future[Any]"]:
        futures.extend(Future() for _ in commands)
        return futures

    dispatcher = Dispatcher(submit=submit)
    assert dispatcher.oldest_s == 0.0
    asks = [Ask(1, WORST, "monitor", None, 1, "0"), Ask(2, WORST, "monitor", None, 1, "0")]
    dispatcher._submit_group(asks, {1: Facts(5, 1), 2: Facts(9, 1)})
    first = dispatcher._under_way[1]
    dispatcher._under_way[1] = first._replace(since=first.since - 12.0)
    assert 12.0 < dispatcher.oldest_s < 24.0

    futures[0].set_exception(ZeroDivisionError("a fault"))
    dispatcher._deal_with_answers()

    assert 0.0 < dispatcher.oldest_s < 12.0


def test_few_positions_are_closed_together_unless_one_account_has_more() -> None:
    def facts(*positions: int) -> dict[int, Facts]:
        return {number: Facts(1, many) for number, many in enumerate(positions)}

    assert fitting(range(3), facts(50, 50, 50)) == 3
    assert fitting(range(4), facts(50, 50, 50, 1)) == 3
    assert fitting(range(3), facts(500, 1, 1)) == 1
    assert fitting(range(60), facts(*[1] * 60)) == 48
    assert fitting(range(3), {0: Facts(1, 100), 2: Facts(1, 50)}) == 3  # what is no account counts nothing
    assert fitting([], {}) == 0
