"""
One trader at work: hears the account stream, does what its plan says over REST and WebSocket, forgets no
answer.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from websockets.exceptions import WebSocketException

from tests.soak.plan import DEPOSIT, RECONNECT, WITHDRAW, Plan, View
from tests.soak.wire import Answer, Rest, Socket

REPEATED = frozenset({"busy", "unavailable", "outcome_unknown", "rate_limit"})  # ask again with the same id
REPEATS_MAX = 40
REPEAT_SHARE = 0.03  # so many requests are sent twice although they were answered
PAUSE_S = 0.25
CONNECTS_MAX = 20

Quotes = dict[str, tuple[Decimal, Decimal]]
Pay = Callable[[str, str, str], None]  # kind, amount, reference


@dataclass(slots=True)
class Record:
    """All that one trader did and saw."""

    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)  # operation, code or order status
    took_s: list[tuple[str, float]] = field(default_factory=list)  # transport
    placed: dict[str, int] = field(default_factory=dict)  # client_order_id -> order id
    refused: set[str] = field(default_factory=set)  # client_order_ids that no order came of
    paid: set[str] = field(default_factory=set)  # references
    events: list[tuple[int, str]] = field(default_factory=list)  # of the stream, as heard
    problems: list[str] = field(default_factory=list)
    repeats: int = 0
    lost: int = 0  # requests whose connection ended, such as one kept alive for too long
    ended: Counter[str] = field(default_factory=Counter)  # why sockets ended that were not ended by us
    reconnects: int = 0  # on purpose


@dataclass(frozen=True, slots=True)
class Seat:
    """An account and how to reach it."""

    account_id: int
    login: int
    token: str
    group: str
    is_hedging: bool


class Player:
    """A trader's program. Ends when told; what it has begun, it brings to an end."""

    def __init__(
        self, seat: Seat, plan: Plan, *, web_port: int, stream_url: str, quotes: Quotes, pay: Pay
    ) -> None:
        self.seat = seat
        self.view = View()
        self.record = Record()
        self._plan = plan
        self._quotes = quotes
        self._pay = pay
        self._rest = Rest(web_port, seat.token)
        self._stream_url = stream_url
        self._socket = Socket(stream_url, seat.token, self._hear)

    async def open(self) -> None:
        """
        Connect and follow the account from the first event that was not heard yet.

        :raises ConnectionError: it did not work, however often it was tried.
        """
        for attempt in range(CONNECTS_MAX):
            await self._socket.close()
            self._socket = Socket(self._stream_url, self.seat.token, self._hear)
            since = self.record.events[-1][0] if self.record.events else 0
            follow = {"op": "subscribe", "channel": "account", "account": self.seat.login, "since": since}
            try:
                await self._socket.open()
                await self._socket.request(follow)
                return
            except (OSError, WebSocketException) as error:
                if attempt + 1 == CONNECTS_MAX:
                    raise
                self.record.ended[f"while connecting: {self._socket.ended or error}"] += 1
                await asyncio.sleep(PAUSE_S)

    async def stay_open(self) -> None:
        """Connect again when the socket has ended."""
        if not self._socket.is_open:
            self.record.ended[self._socket.ended or "without a reason"] += 1
            await self.open()

    async def play(self, stopping: asyncio.Event, *, pause_s: float) -> None:
        """Do one thing after the other until told to stop."""
        while not stopping.is_set():
            try:
                await asyncio.wait_for(stopping.wait(), self._plan.pause_s(pause_s))
                return
            except TimeoutError:
                pass
            await self.stay_open()
            step = self._plan.step(self.view, self._quotes)
            if step is None:
                continue
            op, data = step
            if op == RECONNECT:
                self.record.reconnects += 1
                await self.open()
            elif op in (DEPOSIT, WITHDRAW):
                await self._money(op, data["amount"])
            else:
                await self._trade(op, data)

    async def close(self) -> None:
        """End all connections."""
        self._rest.close()
        await self._socket.close()

    async def _money(self, op: str, amount: str) -> None:
        reference = f"soak-{len(self.record.paid) + 1}"
        self.record.asked[op] += 1
        await asyncio.to_thread(self._pay, op, amount, reference)
        self.record.answered[op, "done"] += 1
        self.record.paid.add(reference)

    async def _trade(self, op: str, data: dict[str, Any]) -> None:
        """Ask until there is an answer, always under the same id; sometimes once more."""
        self.record.asked[op] += 1
        answer = await self._answer(op, data)
        if answer is None:
            self.record.problems.append(f"{op} {data} was never answered")
            return
        result = answer.code or str(answer.body.get("reject_reason") or answer.body.get("status") or "done")
        self.record.answered[op, result] += 1
        self._keep(op, data, answer)
        if self._plan.random.random() < REPEAT_SHARE and not answer.code:
            again = await self._answer(op, data)
            self.record.repeats += 1
            if again is None or again.body != answer.body:
                self.record.problems.append(f"{op} {data}: {answer.body}, then {again and again.body}")

    async def _answer(self, op: str, data: dict[str, Any]) -> Answer | None:
        is_rest = self._plan.random.random() < 0.5
        for _ in range(REPEATS_MAX):
            try:
                answer = await (self._rest if is_rest else self._socket).ask(op, data)
            except ConnectionError:
                self.record.lost += 1
                is_rest = True  # the socket may be gone for good
            else:
                self.record.took_s.append(("REST" if is_rest else "WebSocket", answer.took_s))
                if answer.code not in REPEATED:
                    return answer
                self.record.answered[op, f"{answer.code} (asked again)"] += 1
            await asyncio.sleep(PAUSE_S)
        return None

    def _keep(self, op: str, data: dict[str, Any], answer: Answer) -> None:
        """Remember which order answered an id: the journal must agree."""
        name = data["client_order_id"]
        if op in ("order.market", "order.pending", "position.close", "position.close_by"):
            if answer.code:
                self.record.refused.add(name)
            else:
                self.record.placed[name] = int(answer.body["id"])

    def _hear(self, message: dict[str, Any]) -> None:
        if message["ch"] == "account":
            self.record.events.append((message["seq"], message["type"]))
            self.view.hear(message)
