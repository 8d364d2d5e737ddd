"""What the dispatcher of liquidations tells about itself, without its thread."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from apps.risk.services.liquidation_dispatch import WORST, Ask, Dispatcher
from apps.trading.domain.commands import Command


def test_it_tells_for_how_long_it_has_waited_for_an_answer() -> None:
    futures: list[Future[Any]] = []

    def submit(commands: Sequence[Command], effects: Any) -> list["Future[Any]"]:
        futures.extend(Future() for _ in commands)
        return futures

    dispatcher = Dispatcher(submit=submit)
    assert dispatcher.oldest_s == 0.0
    asks = [Ask(1, WORST, "monitor", None, 1, "0"), Ask(2, WORST, "monitor", None, 1, "0")]
    dispatcher._submit_group(asks, {1: 5, 2: 9})
    dispatcher._under_way[1] -= 12.0
    assert 12.0 < dispatcher.oldest_s < 24.0

    futures[0].set_exception(ZeroDivisionError("a fault"))
    dispatcher._deal_with_answers()

    assert 0.0 < dispatcher.oldest_s < 12.0
