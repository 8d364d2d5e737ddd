"""
The broker that is measured: durable embedded PostgreSQL, Redis, real processes, traders with funded
accounts.

Everything is set up the way a broker would do it: clients are registered, accounts opened and money
deposited through services and the executor, traders log in over REST. Django is set up here, once the
servers' addresses are known; whatever imports models is imported only after that.
"""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django

from rtx.local.home import REPOSITORY, Home
from rtx.local.ports import LOOPBACK, scratch
from rtx.local.process import Process
from rtx.local.programs import Sizes, answers
from rtx.local.stack import Stack

HOMES = REPOSITORY / ".rtx" / "bench-"  # and the process id
CONNECTIONS = 64
WEB_WORKERS = 2
WEB_THREADS = CONNECTIONS // WEB_WORKERS
HOLDERS = 8  # traders who hold positions in many symbols
PASSWORD = "bench-" + os.urandom(8).hex()
FUNDS = "1000000"
SYMBOL = "EURUSD"
LOAD_MARGIN_S = 60
FOLLOWS_BUS = "RTX_QUOTE_BOARD_FOLLOWS_BUS"

Say = Callable[[str], None]


class NotMeasured(RuntimeError):
    """A figure could not be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Trader:
    """A trader with one account, logged in."""

    email: str
    account_id: int
    login: int
    token: str = ""


class Broker:
    """The running broker and its traders."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.traders: list[Trader] = []
        self.holders: list[Trader] = []
        self._started: set[str] = set()
        self._naive: Process | None = None
        self.naive_port = 0
        self._runs = 0

    def start(self, *names: str) -> None:
        """Start processes that do not run yet; the first time, traders are logged in over REST."""
        missing = [name for name in names if name not in self._started]
        if missing:
            self.stack.start(*missing)
            self._started.update(missing)
        if "web" in self._started and not self.traders[0].token:
            self.traders = [self._logged_in(trader) for trader in self.traders]
            self.holders = [self._logged_in(trader) for trader in self.holders]

    def stop(self, *names: str) -> None:
        """Stop processes, so that what is measured next has the machine to itself."""
        self.stack.stop(*names)
        self._started.difference_update(names)

    def start_naive(self) -> None:
        """Start the baseline: the command line of web with other settings and another port."""
        if self._naive is not None:
            return
        self.naive_port = scratch(taken=frozenset({self.stack.web_port, self.stack.stream_port}))
        web = self.stack.process("web")
        command = [str(self.naive_port) if part == str(self.stack.web_port) else part for part in web.command]
        self._naive = Process(
            name="naive",
            command=command,
            env=web.env | {"DJANGO_SETTINGS_MODULE": "tests.perf.naive.settings"},
            home=self.stack.home,
        )
        self._naive.start()
        self._naive.wait_until(answers(self.naive_port), timeout_s=60)

    def stop_naive(self) -> None:
        """Stop the baseline. Safe to repeat."""
        if self._naive is not None:
            self._naive.stop()
            self._naive = None

    def orders(self, *, kind: str, port: int, path: str, seconds: float, warmup_s: float) -> dict[str, Any]:
        """
        Run the closed-loop generator once.

        :raises NotMeasured: an order was not answered as filled.
        """
        self._runs += 1
        plan = {
            "kind": kind,
            "port": port,
            "path": path,
            "symbol": SYMBOL,
            "tag": f"r{self._runs}",
            "clients": [[trader.login, trader.token] for trader in self.traders],
            "seconds": seconds,
            "warmup_s": warmup_s,
        }
        result = run_load("tests.perf.order_load", plan, timeout_s=seconds + warmup_s + LOAD_MARGIN_S)
        if result["problems"]:
            raise NotMeasured(f"{kind} orders were not all filled: {result['problems']}")
        return result

    def verify(self) -> str:
        """
        Verify the books and return the command's last line.

        :raises LocalError: they differ.
        """
        return self.stack.manage("verify_books", "--verbosity", "0").strip().splitlines()[-1]

    def filled_orders(self) -> int:
        """Return how many filled orders the database holds."""
        from apps.trading.models import Order

        return Order.objects.filter(status="filled").count()

    def _logged_in(self, trader: Trader) -> Trader:
        status, answer = call(
            self.stack.web_port, "POST", "/api/auth/login", body={"email": trader.email, "password": PASSWORD}
        )
        if status != 200:
            lines = self.stack.process("web").last_lines()
            raise NotMeasured(f"login answered {status}: {answer}\n{lines}")
        return Trader(trader.email, trader.account_id, trader.login, answer["access"])

    def seed(self) -> None:
        """Create symbols, a group and the traders, and pay their money in."""
        from decimal import Decimal

        from django.contrib.auth.hashers import make_password

        from apps.accounts.models import User
        from apps.groups.models import TradingGroup
        from apps.market.services.symbols import seed_demo_symbols

        seed_demo_symbols()
        group, _ = TradingGroup.objects.get_or_create(
            name="bench",
            defaults={
                "description": "One position per symbol, so that alternating orders keep books small",
                "position_mode": TradingGroup.PositionMode.NETTING,
                "markup_bid_points": Decimal(4),
                "markup_ask_points": Decimal(4),
            },
        )
        self.traders = [_open(group, f"trader{number}") for number in range(CONNECTIONS)]
        self.holders = [_open(group, f"holder{number}") for number in range(HOLDERS)]
        # One hash for all: hashing 72 times is a matter of minutes on a busy machine, and measures nothing.
        User.objects.filter(client__isnull=False).update(password=make_password(PASSWORD))


def _open(group: Any, name: str) -> Trader:
    from decimal import Decimal

    from apps.accounts.domain.ledger import BalanceKind
    from apps.accounts.services import clients, trading_accounts
    from apps.trading.services import balances
    from rtx.kernel.actor import Actor

    actor = Actor.system("bench")
    email = f"{name}@bench.example"
    person = clients.PersonalData(first_name="Bench", last_name=name)
    client = clients.register(email=email, password=None, person=person, country="DE")
    account = trading_accounts.open_account(client=client, group=group, actor=actor)
    balances.change(
        account_id=account.pk, kind=BalanceKind.DEPOSIT, amount=Decimal(FUNDS), reference="start", actor=actor
    )
    return Trader(email, account.pk, account.login)


@contextmanager
def broker(say: Say) -> Iterator[Broker]:
    """Open a broker in a folder of its own that is deleted at the end."""
    _clear_leftovers()
    stack = Stack(
        home=Path(f"{HOMES}{os.getpid()}"),
        fast=False,
        temporary=True,
        env={"RTX_FEED": "simulated", "RTX_TICKS_DIR": "", "LOG_LEVEL": "WARNING"},
        sizes=Sizes(web_workers=WEB_WORKERS, web_threads=WEB_THREADS),
        say=say,
    )
    with stack:
        os.environ.update(stack.env | {FOLLOWS_BUS: "false"})  # this process needs no prices,
        django.setup()
        del os.environ[FOLLOWS_BUS]  # those it starts do
        opened = Broker(stack)
        opened.seed()
        try:
            yield opened
        finally:
            opened.stop_naive()


def _clear_leftovers() -> None:
    """Remove the folders of benches that were killed."""
    for folder in HOMES.parent.glob(f"{HOMES.name}*"):
        home = Home(folder)
        if home.acquire():
            home.remove()
            home.release()


def run_load(module: str, plan: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """
    Run a load generator in its own process.

    :raises NotMeasured: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode != 0:
        raise NotMeasured(f"{module} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def call(port: int, method: str, path: str, *, body: Any = None, token: str = "") -> tuple[int, Any]:
    """Make one HTTP call and return status and decoded answer."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()
