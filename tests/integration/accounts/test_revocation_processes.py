"""With real web and stream processes: who may not be here any more is out within 5 seconds, everywhere."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from rtx.local.programs import Sizes
from rtx.local.stack import Stack
from tests.conftest import TEST_FOLDER, copy_installation

pytestmark = pytest.mark.serial

PASSWORD = "correct horse battery 17"
ALLOWED_S = 5.0
Enter = Callable[[str], "Person"]
REGISTER = """
from apps.accounts.services.clients import PersonalData, register
for name in ("anna", "bruno", "clara"):
    register(email=f"{name}@example.com", password="%s", person=PersonalData(first_name="A", last_name="B"))
"""


@pytest.fixture(scope="module")
def stack(migrated_home: Path) -> Iterator[Stack]:
    home = copy_installation(migrated_home, TEST_FOLDER / f"revocation-{os.getpid()}")
    env = {"DJANGO_SETTINGS_MODULE": "rtx.settings.dev"}
    running = Stack(home=home, fast=True, temporary=True, env=env, sizes=Sizes(web_workers=2))
    running.open(migrate=False)
    try:
        running.manage("shell", "-c", REGISTER % PASSWORD)
        running.start("web", "stream")
        yield running
    finally:
        running.close()


@pytest.fixture
def enter(stack: Stack) -> Iterator[Enter]:
    """Return what logs a person in; their sockets end with the test."""
    with ExitStack() as opened:
        yield lambda name: Person(stack, name, opened)


class Person:
    """A trader who is logged in, over REST in both web processes and over a WebSocket."""

    def __init__(self, stack: Stack, name: str, opened: ExitStack) -> None:
        self._stack = stack
        pair = self.post("/api/auth/login", {"email": f"{name}@example.com", "password": PASSWORD})[1]
        self.access, self.refresh = pair["access"], pair["refresh"]
        for _ in range(20):  # known to both processes from now on
            assert self.is_known()
        ticket = self.post("/api/auth/ws-ticket")[1]["ticket"]
        address = f"{stack.stream_url}?ticket={ticket}"
        self.socket: ClientConnection = opened.enter_context(connect(address))
        assert self.answer_to_ping(1)["ok"] is True

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        return self._call("POST", path, json.dumps(body or {}).encode())

    def is_known(self) -> bool:
        return self._call("GET", "/api/accounts", None)[0] == 200

    def answer_to_ping(self, number: int) -> Any:
        """Ask over the socket; what else comes by it meanwhile, such as a heartbeat, is not the answer."""
        self.socket.send(json.dumps({"op": "ping", "id": number}))
        while (said := json.loads(self.socket.recv(timeout=5))).get("id") != number:
            pass
        return said

    def closed_with(self, *, within_s: float) -> int:
        """Return the code with which the socket is closed."""
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.socket.recv(timeout=left)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd is not None else 0
            except TimeoutError:
                break
        raise AssertionError(f"the socket is still open after {within_s} s")

    def _call(self, method: str, path: str, body: bytes | None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        if access := getattr(self, "access", ""):
            headers["Authorization"] = f"Bearer {access}"
        request = urllib.request.Request(self._stack.web_url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                raw = response.read()
                return response.status, json.loads(raw) if raw else None
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read())


def _is_out(person: Person, *, since: float) -> None:
    """Both web processes and the stream know within the time allowed."""
    assert person.closed_with(within_s=since + ALLOWED_S - time.monotonic()) == 4410
    refusals = 0
    while refusals < 20:  # in a row: whichever process answers
        refusals = 0 if person.is_known() else refusals + 1
        assert time.monotonic() - since < ALLOWED_S
    status, problem = person.post("/api/auth/refresh", {"refresh": person.refresh})
    assert (status, problem["code"]) == (401, "invalid_refresh_token")


def test_a_disabled_user_is_out_of_every_process(stack: Stack, enter: Enter) -> None:
    person = enter("anna")
    disable = "from apps.accounts.models import User; from apps.accounts.services import users; "
    disable += "import time; users.disable(user_id=User.objects.get(email='anna@example.com').pk); "
    disable += "print(time.monotonic())"

    said = stack.manage("shell", "-v", "0", "-c", disable)

    _is_out(person, since=float(said.split()[-1]))


def test_a_new_password_ends_what_was_open(enter: Enter) -> None:
    person = enter("bruno")

    changed, _ = person.post("/api/auth/password", {"current": PASSWORD, "new": "another long secret 5"})

    since = time.monotonic()
    assert changed == 204
    _is_out(person, since=since)


def test_a_logout_ends_this_login_only(enter: Enter) -> None:
    leaving, staying = enter("clara"), enter("clara")

    since = time.monotonic()
    assert leaving.post("/api/auth/logout")[0] == 204

    _is_out(leaving, since=since)
    assert staying.is_known()
    assert staying.answer_to_ping(2)["ok"] is True
