"""A real stream server inside the test process, a real WebSocket client, and a small broker for both."""

import asyncio
import contextlib
import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

import orjson
import uvicorn
from django.conf import settings
from django.db import connection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.selectors.tokens import read_access
from apps.accounts.services import clients, tickets, tokens, trading_accounts
from apps.groups.models import TradingGroup
from apps.market.adapters.bus import QuotePublisher
from apps.market.domain.quotes import Quote
from apps.market.services.symbols import seed_demo_symbols
from apps.trading.services import balances
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.local import ports
from rtx.local.home import REPOSITORY
from rtx.local.programs import Sizes, programs

TESTER = Actor.system("test")
PATIENCE_S = 10.0
EURUSD = ("EURUSD", "1.10000", "1.10010")
GBPUSD = ("GBPUSD", "1.30000", "1.30010")


class StreamServer:
    """uvicorn with the application and flags of a stream process, in a thread."""

    def __init__(self, **options: Any) -> None:
        from rtx.asgi import application

        self.port = ports.scratch()
        flags = {
            "ws": "rtx.stream:StreamWebSocket",
            "ws_per_message_deflate": False,
            "ws_max_size": 65_536,
            "timeout_graceful_shutdown": 5,
        }
        config = uvicorn.Config(
            application, port=self.port, log_level="warning", access_log=False, **(flags | options)
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="stream-server")

    @property
    def url(self) -> str:
        """The address of the socket."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: self._server.started, "the server to start")
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the stream server does not end"


def eventually(is_so: Callable[[], Any], what: str, *, timeout_s: float = PATIENCE_S) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.01)


@dataclass(frozen=True)
class Trader:
    """A client with one account."""

    user_id: int
    account_id: int
    login: int

    @property
    def token(self) -> str:
        """A fresh access token of a login of its own."""
        return tokens.issue(user_id=self.user_id).access

    def ticket(self) -> str:
        """A fresh ticket."""
        return tickets.issue(claims=read_access(self.token))


class Broker:
    """The demo symbols, groups by name, traders with money, and a feed in the test's hand."""

    def __init__(self) -> None:
        seed_demo_symbols()
        self._feed = QuotePublisher()
        self._traders = 0

    def group(self, name: str, **values: Any) -> TradingGroup:
        """Create a group; by default it takes 2 points off the bid and puts 3 on the ask."""
        defaults = {"markup_bid_points": Decimal(2), "markup_ask_points": Decimal(3)}
        return TradingGroup.objects.create(name=name, **(defaults | values))

    def trader(self, group: TradingGroup, *, money: str = "10000") -> Trader:
        """Register a client with a funded account; its journal then holds two events."""
        self._traders += 1
        person = clients.PersonalData(first_name="Test", last_name=f"Number {self._traders}")
        client = clients.register(
            email=f"trader{self._traders}@example.com",
            password="correct horse battery",
            person=person,
            country="DE",
        )
        account = trading_accounts.open_account(client=client, group=group, actor=TESTER)
        trader = Trader(user_id=client.user_id, account_id=account.pk, login=account.login)
        self.deposit(trader, money, reference="start")
        return trader

    def deposit(self, trader: Trader, amount: str = "1", *, reference: str) -> None:
        """Pay money in: one event in the journal."""
        balances.change(
            account_id=trader.account_id,
            kind=BalanceKind.DEPOSIT,
            amount=Decimal(amount),
            reference=reference,
            actor=TESTER,
        )

    def tick(self, *quotes: tuple[str, str, str], simulated: Iterable[str] = ()) -> None:
        """Publish one batch of raw quotes: symbol, bid, ask."""
        assert self.try_tick(*quotes, simulated=simulated), "the quotes were not published"

    def try_tick(self, *quotes: tuple[str, str, str], simulated: Iterable[str] = ()) -> bool:
        """Publish one batch of raw quotes; False: Redis is away."""
        now_ms = clock.now_ms()
        batch = [Quote(symbol, Decimal(bid), Decimal(ask), now_ms) for symbol, bid, ask in quotes]
        return self._feed.publish(batch, frozenset(simulated))

    def close(self) -> None:
        """Give the feed's connection back."""
        self._feed.close()


class Client:
    """A WebSocket client that keeps replies and pushes apart."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.pushes: list[Any] = []
        self._next_id = 0

    @classmethod
    async def open(cls, url: str, token: str = "", **options: Any) -> "Client":
        """Connect, and authenticate when there is a token."""
        client = cls(await connect(url, open_timeout=PATIENCE_S, max_queue=None, **options))
        if token:
            assert (await client.ask("auth", token=token))["ok"]
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.socket.close()

    async def send(self, message: Any) -> None:
        """Send a message as JSON, or a text as it is."""
        await self.socket.send(
            message if isinstance(message, str | bytes) else orjson.dumps(message).decode()
        )

    async def receive(self) -> Any:
        """Return the next message."""
        return orjson.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))

    async def ask(self, op: str, **fields: Any) -> Any:
        """Send a request and return its reply; what is pushed meanwhile is kept."""
        self._next_id += 1
        request_id = self._next_id
        await self.send({"op": op, "id": request_id, **fields})
        while True:
            message = await self.receive()
            if "ch" not in message and message["id"] == request_id:
                return message
            self.pushes.append(message)

    async def next_push(self, channel: str) -> Any:
        """Return the next push of a channel, oldest first."""
        while True:
            message = self.pushes.pop(0) if self.pushes else await self.receive()
            if message.get("ch") == channel:
                return message

    async def closed_with(self) -> int:
        """Wait until the server closes the socket; return its code."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.wait_for(self.socket.recv(), PATIENCE_S)
        code = self.socket.close_code
        assert code not in (None, 1006), "the socket was cut without a code"
        return code


async def in_thread(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call what uses the database away from the event loop."""
    return await asyncio.to_thread(function, *arguments, **options)


async def opened(server: StreamServer, trader: Trader, **options: Any) -> Client:
    token = await in_thread(lambda: trader.token)
    return await Client.open(server.url, token, **options)


def order(trader: Trader, number: int = 1, **changes: Any) -> dict[str, Any]:
    data = {
        "account": trader.login,
        "symbol": "EURUSD",
        "side": "buy",
        "volume": "0.10",
        "client_order_id": f"order-{number}",
    }
    return {**data, **changes}


async def ticked(client: Client, broker: Broker) -> None:
    """See that the process has a price."""
    await client.ask("subscribe", channel="quotes", symbols=["EURUSD"])
    await in_thread(broker.tick, EURUSD)
    await client.next_push("quotes")


class StreamProcessServer:
    """
    A stream process of its own, as `make run` starts it (or the development server), on the test's database
    and Redis.
    """

    def __init__(self, *, development: bool = False) -> None:
        database = connection.settings_dict
        address = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
        self.port = ports.scratch()
        stream = programs(web_port=0, stream_port=self.port, crm_port=0, folder=REPOSITORY, sizes=Sizes())[
            "stream"
        ]
        self._command = stream.command
        if development:
            runserver = ("manage.py", "runserver", "--noreload", "--insecure", str(self.port))
            self._command = [sys.executable, *runserver]
        self._env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "rtx.settings.dev",
            "DATABASE_URL": f"postgres://{address}/{database['NAME']}",
            "REDIS_URL": settings.REDIS_URL,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the socket."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, env=self._env, cwd=REPOSITORY)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def wait_ready(self) -> None:
        """Wait until it serves."""
        eventually(lambda: self.status("/ready") == 200, "the process to be ready", timeout_s=60)

    def status(self, path: str) -> int:
        """Return the status of a GET; 0: nobody answers."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)) as asking:
            try:
                asking.request("GET", path)
                return asking.getresponse().status
            except OSError:
                return 0

    def terminate(self) -> None:
        """Ask it to end."""
        assert self._process is not None
        self._process.terminate()

    def exit_code(self) -> int:
        """Wait for its end."""
        assert self._process is not None
        return self._process.wait(PATIENCE_S * 2)
