"""
What the providers' fakes have in common: requests and replies, routing, limits, scripted faults, a log of
calls. Knows no socket (`tests.fakes.server` does) and no provider.
"""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote


@dataclass
class Request:
    """One request as it came. `params`: the parts of the path that the route names."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes
    target: str = ""  # path and query as sent
    params: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body; ValueError when it is no JSON."""
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def host(self) -> str:
        """Where this server was called, such as http://127.0.0.1:8000."""
        return f"http://{self.headers.get('host', 'localhost')}"


@dataclass
class Reply:
    """An answer: JSON unless the body is bytes; None is no body."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json;charset=utf-8"

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Fault:
    """
    What goes wrong instead of an answer: `status` with `body` and `headers`; or `kind`:

    drop: the connection ends without an answer. timeout: nothing comes for `hold_s`. malformed: 200 with half
    a JSON text. truncated: the connection ends in the middle of the body.
    `is_done`: the request was carried out before it went wrong.
    """

    kind: str = "status"
    status: int = 500
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_done: bool = False
    hold_s: float = 30.0


@dataclass
class _Planned:
    fault: Fault
    method: str
    path: re.Pattern[str]
    times: int
    skip: int


@dataclass(frozen=True)
class Limit:
    """At most so many calls in any `window_s`."""

    calls_max: int
    window_s: float


@dataclass(frozen=True)
class Call:
    """One call that came in. `at`: when, by the fake's clock (seconds)."""

    at: float
    method: str
    path: str
    name: str  # of the route's method
    status: int  # 0: no answer was given
    records: int
    is_counted: bool
    is_over: bool  # refused by the limit


class Clock:
    """The provider's clock; tests may stop it and move it on."""

    def __init__(self) -> None:
        self._shift_s = 0.0
        self._stopped_at: float | None = None

    def __call__(self) -> float:
        """Return seconds since 1970."""
        return (time.time() if self._stopped_at is None else self._stopped_at) + self._shift_s

    def stop(self, at: float | None = None) -> None:
        """Let time stand still."""
        self._stopped_at = time.time() if at is None else at
        self._shift_s = 0.0

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._shift_s += seconds


def route(method: str, path: str, *, is_counted: bool = True) -> Callable[[Any], Any]:
    """Mark a method of a fake: `{name}` in a path is one part of it. Only counted routes use up the limit."""

    def mark(function: Any) -> Any:
        pattern = re.compile("".join(_piece(piece) for piece in re.split(r"({\w+})", path)) + "$")
        function.routes = [*getattr(function, "routes", []), (method, pattern, is_counted)]
        return function

    return mark


def _piece(piece: str) -> str:
    return f"(?P<{piece[1:-1]}>[^/]+)" if piece.startswith("{") else re.escape(piece)


class Numbers:
    """Counts up; unlike itertools.count it can be kept in a file."""

    def __init__(self, start: int = 1) -> None:
        self._next = start

    def __next__(self) -> int:
        self._next += 1
        return self._next - 1


class Fake:
    """What the provider's fakes have in common. `calls` is the log of all that came in."""

    name: ClassVar[str] = ""
    kept: ClassVar[tuple[str, ...]] = ()  # attributes that survive a restart of the demo

    def __init__(self) -> None:
        self.clock = Clock()
        self.lock = threading.RLock()
        self.limit: Limit | None = None
        self.calls: list[Call] = []
        self.on_request: Callable[[Request], None] | None = None  # before it is carried out, outside the lock
        self._planned: list[_Planned] = []
        self._recent: list[float] = []  # arrivals of counted calls within the window
        self._records = 0
        marked = (getattr(type(self), name) for name in dir(type(self)))
        self._routes = [
            (*one, function)
            for function in marked
            if callable(function)
            for one in getattr(function, "routes", [])
        ]

    # What providers say in their own words.
    def not_found(self, request: Request) -> Reply:
        """Answer for a path that is not known."""
        return Reply(404, {"message": "not found"})

    def over_limit(self, request: Request, wait_s: float) -> Reply:
        """Answer for a call too many."""
        return Reply(429, {"message": "rate limit"}, {"Retry-After": str(int(wait_s) + 1)})

    def limit_headers(self, left: int) -> dict[str, str]:
        """Return the headers about limits that counted answers carry."""
        return {}

    def rows(self) -> list[tuple[str, dict[str, str]]]:
        """Return what the page of records shows: title of the record and its fields."""
        return []

    # For tests.
    def fail(self, fault: Fault, *, path: str = "", method: str = "", times: int = 1, skip: int = 0) -> None:
        """Let the next `times` requests that fit go wrong, after `skip` of them went well."""
        with self.lock:
            self._planned.append(_Planned(fault, method, re.compile(path), times, skip))

    def heal(self) -> None:
        """Forget the faults that were planned."""
        with self.lock:
            self._planned.clear()

    def count(self, name: str = "", *, status: int | None = None) -> int:
        """Count calls, by the route's method and the answer's status."""
        return sum(
            1
            for call in list(self.calls)
            if (not name or call.name == name) and (status is None or call.status == status)
        )

    def windows(self, window_s: float) -> list[int]:
        """
        Count the calls that the limit let through in each full window, from the first one on; the last,
        incomplete one is left out.
        """
        taken = [call.at for call in list(self.calls) if call.is_counted and not call.is_over]
        if not taken:
            return []
        first = min(taken)
        counts = Counter(int((at - first) // window_s) for at in taken)
        return [counts[place] for place in range(max(counts))]

    def batches(self, name: str) -> list[int]:
        """Return how many records each call of a route carried."""
        return [call.records for call in list(self.calls) if call.name == name and call.status < 400]

    def carries(self, records: int) -> None:
        """Note, inside a route, how many records the request is about."""
        self._records = records

    # The server's way in.
    def answer(self, request: Request) -> tuple[Reply | None, Fault | None]:
        """Carry one request out; a fault says how the answer is spoiled."""
        if self.on_request is not None:
            self.on_request(request)
        with self.lock:
            at = self.clock()
            self._records = 0
            name, is_counted, function = self._find(request)
            wait_s = self._take(at) if is_counted else None
            fault = self._fault(request) if wait_s is None else None
            if wait_s is not None:
                reply = self.over_limit(request, wait_s)
            elif fault is not None and not fault.is_done:
                reply = Reply(fault.status, fault.body, dict(fault.headers))
            else:
                reply = function(self, request) if function else self.not_found(request)
                if fault is not None and fault.kind == "status":
                    reply = Reply(fault.status, fault.body, dict(fault.headers))
            if is_counted and self.limit is not None:
                headers = self.limit_headers(max(0, self.limit.calls_max - len(self._recent)))
                reply.headers = {**headers, **reply.headers}
            status = (
                0 if fault is not None and fault.kind in ("drop", "timeout", "truncated") else reply.status
            )
            over = wait_s is not None
            self.calls.append(
                Call(at, request.method, request.path, name, status, self._records, is_counted, over)
            )
        return reply, fault

    def knows(self, request: Request) -> bool:
        """Tell whether a path is this provider's."""
        return any(pattern.match(request.path) for _, pattern, *_ in self._routes)

    def _find(self, request: Request) -> tuple[str, bool, Any]:
        for method, pattern, is_counted, function in self._routes:
            found = pattern.match(request.path)
            if found and method == request.method:
                request.params = {name: unquote(value) for name, value in found.groupdict().items()}
                return function.__name__, is_counted, function
        return "", True, None

    def _take(self, at: float) -> float | None:
        """Count a call; return how long to wait when it is one too many (it then does not count)."""
        if self.limit is None:
            return None
        self._recent = [one for one in self._recent if one > at - self.limit.window_s]
        if len(self._recent) >= self.limit.calls_max:
            return self._recent[0] + self.limit.window_s - at
        self._recent.append(at)
        return None

    def _fault(self, request: Request) -> Fault | None:
        for planned in self._planned:
            if planned.method not in ("", request.method) or not planned.path.search(request.target):
                continue
            if planned.skip:
                planned.skip -= 1
                continue
            planned.times -= 1
            if planned.times <= 0:
                self._planned.remove(planned)
            return planned.fault
        return None
