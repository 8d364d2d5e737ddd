"""The queue of margin calls in front of the executor, without its thread."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from apps.risk.services.margin_calls import Caller
from apps.trading.domain.commands import Command


def test_what_could_not_be_submitted_is_not_under_way_and_may_be_asked_for_again() -> None:
    taken: list[int] = []

    def submit(commands: Sequence[Command], effects: Any) -> list["Future[Any]"]:
        if not taken:
            taken.append(0)
            raise ZeroDivisionError("a fault")
        taken.extend(command.account_id for command in commands)
        return [Future() for _ in commands]

    caller = Caller(submit=submit, backlog=lambda: 0, in_call=lambda ids: set())
    caller.offer({1: 5}, {})
    with pytest.raises(ZeroDivisionError):
        caller._submit_what_may()
    assert (caller.health()["in_flight"], caller.oldest_s) == (0, 0.0)

    caller.offer({1: 5}, {})
    caller._submit_what_may()

    assert (taken, caller.health()["in_flight"]) == ([0, 1], 1)
    assert caller.oldest_s > 0.0


def test_only_what_is_not_so_already_is_submitted_and_not_who_is_closed_first() -> None:
    taken: list[tuple[int, bool]] = []

    def submit(commands: Sequence[Command], effects: Any) -> list["Future[Any]"]:
        taken.extend((command.account_id, command.ends) for command in commands)  # type: ignore[attr-defined]
        return [Future() for _ in commands]

    caller = Caller(
        submit=submit,
        backlog=lambda: 0,
        is_closed_first=lambda id_, seq: id_ == 5,
        in_call=lambda ids: {2, 3},
    )
    caller.offer({1: 9, 2: 9, 5: 9}, {3: 9, 4: 9})

    caller._submit_what_may()

    assert sorted(taken) == [(1, False), (3, True)]
    assert caller.health() == {"queued": 0, "in_flight": 2, "called": 0, "ended": 0, "void": 2, "failed": 0}
