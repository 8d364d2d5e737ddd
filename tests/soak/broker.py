"""
The broker that is soaked: a whole stack of its own, demo groups, accounts with little enough money that some
orders are refused. Django is set up here; what imports models is imported after that.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import django

from rtx.local.home import REPOSITORY, Home
from rtx.local.programs import Sizes
from rtx.local.stack import Stack
from tests.soak.plan import DEPOSIT, Contract
from tests.soak.player import Seat

HOMES = REPOSITORY / ".rtx" / "soak-"  # and the process id
SYMBOLS = ("EURUSD", "NZDUSD", "XAUUSD")  # those that were recorded on the day
DAY = "20140508"
BALANCES = ("1500", "4000", "10000", "25000")
CONTRACTS = [
    Contract("EURUSD", 5, ("0.01", "0.05", "0.10", "0.30", "1.00"), 12),
    Contract("NZDUSD", 5, ("0.01", "0.05", "0.10", "0.30"), 18),
    Contract("XAUUSD", 3, ("0.01", "0.02", "0.05", "0.20"), 400),
]
TOKEN_LIFETIME_S = 86_400

Say = Callable[[str], None]


@dataclass(slots=True)
class Broker:
    """The running broker with its accounts."""

    stack: Stack
    seats: list[Seat]
    is_recorded: bool

    def pay(self, account_id: int, kind: str, amount: str, reference: str) -> None:
        """Deposit or withdraw as the back office would; a withdrawal may be refused."""
        from decimal import Decimal

        from apps.accounts.domain.ledger import BalanceKind
        from apps.trading.services import balances
        from rtx.kernel.actor import Actor

        is_deposit = kind == DEPOSIT
        balances.change(
            account_id=account_id,
            kind=BalanceKind.DEPOSIT if is_deposit else BalanceKind.WITHDRAWAL,
            amount=Decimal(amount) if is_deposit else -Decimal(amount),
            reference=reference,
            actor=Actor.system("soak"),
        )


@contextmanager
def broker(*, accounts: int, speed: float, ticks: str, home: Path | None, say: Say) -> Iterator[Broker]:
    """
    Open the broker and start all of its processes; everything goes at the end.

    `home` is a stopped installation whose database is migrated; it is used up. Without it one is made.
    """
    if home is None:
        _clear_leftovers()
    recorded = _recorded(ticks)
    env = {
        "DJANGO_SETTINGS_MODULE": "rtx.settings.dev",
        "RTX_FEED": "replay" if recorded else "simulated",
        "RTX_TICKS_DIR": ticks if recorded else "",
        "RTX_FEED_BY_SYMBOL": ",".join(f"{name}={provider}" for name, provider in recorded.items()),
        "RTX_FEED_SPEED": str(speed),
        "RTX_SESSIONS_ALWAYS_OPEN": "1",
        "RTX_ACCESS_TOKEN_LIFETIME_S": str(TOKEN_LIFETIME_S),
        "LOG_LEVEL": "WARNING",
    }
    stack = Stack(
        home=home or Path(f"{HOMES}{os.getpid()}"),
        fast=True,
        temporary=True,
        env=env,
        sizes=Sizes(web_threads=32),
        say=say,
    )
    stack.open(migrate=home is None)
    try:
        os.environ.update(stack.env | {"RTX_QUOTE_BOARD_FOLLOWS_BUS": "true"})
        django.setup()
        seats = _seed(accounts)
        say(f"{accounts} accounts opened; starting web, stream, engine, worker and beat")
        stack.start()
        yield Broker(stack, seats, bool(recorded))
    finally:
        _close_connections()
        stack.close()


def _recorded(ticks: str) -> dict[str, str]:
    """Return symbol -> provider of the day's recordings; FXCM's where there is one."""
    if not ticks:
        return {}
    found: dict[str, str] = {}
    for name in SYMBOLS:
        for path in sorted(Path(ticks).rglob(f"{name.lower()}_tick_{DAY}.zip")):
            if found.get(name) != "fxcm":
                found[name] = path.parent.name
    return found


def _seed(accounts: int) -> list[Seat]:
    from decimal import Decimal

    from apps.accounts.domain.ledger import BalanceKind
    from apps.accounts.services import clients, tokens, trading_accounts
    from apps.accounts.services.clients import PersonalData
    from apps.groups.services.demo import seed_demo_groups
    from apps.market.models import Symbol
    from apps.market.services.symbols import seed_demo_symbols
    from apps.trading.services import balances
    from rtx.kernel.actor import Actor

    actor = Actor.system("soak")
    groups = seed_demo_groups(seed_demo_symbols())
    Symbol.objects.exclude(name__in=SYMBOLS).update(is_active=False)
    seats = []
    for number in range(accounts):
        group = groups[number % len(groups)]
        person = PersonalData(first_name="Soak", last_name=f"Trader {number}")
        client = clients.register(email=f"t{number}@soak.example", password=None, person=person, country="DE")
        account = trading_accounts.open_account(client=client, group=group, actor=actor)
        balances.change(
            account_id=account.pk,
            kind=BalanceKind.DEPOSIT,
            amount=Decimal(BALANCES[number // len(groups) % len(BALANCES)]),
            reference="soak-0",
            actor=actor,
        )
        token = tokens.issue(user_id=client.user_id).access
        is_hedging = group.position_mode == "hedging"
        seats.append(Seat(account.pk, account.login, token, group.name, is_hedging))
    return seats


def _close_connections() -> None:
    from django.conf import settings
    from django.db import connections

    from apps.market.services.board import board

    if settings.configured:
        board().stop()
        connections.close_all()


def _clear_leftovers() -> None:
    """Remove the folders of soaks that were killed."""
    for folder in HOMES.parent.glob(f"{HOMES.name}*"):
        home = Home(folder)
        if home.acquire():
            home.remove()
            home.release()
