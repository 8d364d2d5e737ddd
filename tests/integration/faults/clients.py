"""Client programs of fault tests: they place orders over REST from threads and never forget an answer."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request brought; status 0: no answer (connection refused or lost)."""

    status: int
    body: dict[str, Any]
    took_s: float

    @property
    def code(self) -> str:
        """The problem's code, or the order's refusal, or an empty text."""
        return str(self.body.get("code") or self.body.get("reject_reason") or "")


class Caller:
    """Calls the web process of a stack as one trader."""

    def __init__(self, web_url: str, *, login: int, token: str) -> None:
        self.login = login
        self._address = urlsplit(web_url)
        self._token = token

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Send one request on a connection of its own."""
        started = time.monotonic()
        connection = http.client.HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=TIMEOUT_S
        )
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body),
                headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            )
            response = connection.getresponse()
            raw = response.read()
            status = response.status
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, {"error": repr(error)}, time.monotonic() - started)
        finally:
            connection.close()
        return Answer(status, json.loads(raw), time.monotonic() - started)

    def order(self, client_order_id: str, *, side: str = "buy") -> Answer:
        """Place one market order."""
        body = {
            "account": self.login,
            "symbol": "EURUSD",
            "side": side,
            "volume": "0.01",
            "client_order_id": client_order_id,
        }
        return self.call("POST", "/api/orders/market", body)

    def orders(self) -> list[dict[str, Any]]:
        """Return all orders of the account."""
        found: list[dict[str, Any]] = []
        path: str | None = f"/api/orders?account={self.login}&limit=500"
        while path:
            answer = self.call("GET", path)
            assert answer.status == 200, answer
            found += answer.body["results"]
            following = answer.body["next"]
            path = following and following.partition(self._address.netloc)[2]
        return found


@dataclass(slots=True)
class Log:
    """All that one client program has seen."""

    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    sides: dict[str, str] = field(default_factory=dict)
    answers: list[tuple[float, Answer]] = field(default_factory=list)


class Load:
    """Threads that place orders until stopped; each repeats an order under its id until acknowledged."""

    def __init__(self, callers: list[Caller], *, tag: str) -> None:
        self.callers = callers
        self.logs = [Log() for _ in callers]
        self._tag = tag
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(caller, log), name=f"client-{caller.login}")
            for caller, log in zip(callers, self.logs, strict=True)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let every program end what it is doing."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)

    def _work(self, caller: Caller, log: Log) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            name, side = f"{self._tag}-{number}", ("buy", "sell")[number % 2]
            log.sides[name] = side
            self._place(caller, log, name, side)

    def _place(self, caller: Caller, log: Log, name: str, side: str) -> None:
        while True:
            answer = caller.order(name, side=side)
            log.answers.append((time.monotonic(), answer))
            if answer.status == 201:
                log.acknowledged[name] = answer.body
                return
            if self._stopping.wait(0.05):
                return

    @property
    def acknowledged(self) -> int:
        """How many orders were acknowledged so far."""
        return sum(len(log.acknowledged) for log in self.logs)

    def answered(self) -> Counter[tuple[int, str]]:
        """Return how often each status and code came."""
        return Counter((answer.status, answer.code) for log in self.logs for _, answer in list(log.answers))

    def filled_since(self, instant: float) -> bool:
        """Say whether every program had an order filled that came back after an instant."""
        return all(
            any(at > instant and answer.body.get("status") == "filled" for at, answer in list(log.answers))
            for log in self.logs
        )


def eventually(
    condition: Callable[[], bool], what: str, *, within_s: float, seen: Callable[[], object] = lambda: ""
) -> float:
    """Wait for a condition and return how long it took; `seen` is shown when it took too long."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_s, f"{what} took longer than {within_s:g} s {seen()}"
        time.sleep(0.02)
    return time.monotonic() - started
