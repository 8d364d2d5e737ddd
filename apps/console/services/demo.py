"""
The demo broker: symbols, groups, staff, 200 clients with accounts, money, history and open positions.

Everything that moves money or positions is a real command through the executor; no such row is inserted here.
"""

import random
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.conf import settings

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import Client, ReachGrant, TradingAccount, User
from apps.accounts.services import clients, kyc, reach, second_factors, trading_accounts, users
from apps.accounts.services.clients import PersonalData
from apps.console.services import (
    demo_controls,
    demo_crm,
    demo_funds,
    demo_history,
    demo_orders,
    demo_people,
)
from apps.console.services.demo_market import DemoMarket
from apps.groups.models import TradingGroup
from apps.groups.services.demo import seed_demo_groups
from apps.market.services import holidays
from apps.market.services.symbols import seed_demo_symbols
from apps.trading.domain.commands import Outcome
from apps.trading.domain.orders import Side
from apps.trading.models import Order, Position
from apps.trading.services import balances, executor, orders, positions
from apps.trading.services.orders import MarketOrder
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind

CLIENTS = 200
TRADERS_WITH_LOGIN = 10
SHOWN = 10  # accounts with fund operations
WAVES = 24
CLOSE_SHARE = 0.45
GROUP_SHARES = {"standard": 90, "raw": 60, "vip": 20, "eur-netting": 30, "swap-free": 20}
LOTS = {
    "forex": "0.10",
    "metal": "0.02",
    "index": "0.10",
    "crypto": "0.01",
    "stock": "0.50",
    "commodity": "0.05",
}
SEEDER = Actor.system("seed_demo")

Logins = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Holder:
    """One demo account and whose it is."""

    account: TradingAccount
    user_id: int

    @property
    def actor(self) -> Actor:
        """The trader as the journal names them."""
        return Actor(kind=ActorKind.CLIENT, name=f"user:{self.user_id}")


def is_seeded() -> bool:
    """Say whether the demo broker stands complete."""
    return Client.objects.count() >= CLIENTS and Position.objects.exists()


def seed(*, say: Say, progress: Callable[[int], None]) -> Logins:
    """
    Create whatever of the demo broker is missing and return the logins, with new passwords.

    `progress` is told how many of `CLIENTS + WAVES` steps are done.
    """
    symbols = seed_demo_symbols()
    holidays.sync_all(today=clock.now().date())
    groups = {group.name: group for group in seed_demo_groups(symbols)}
    logins: Logins = {"staff": _staff(list(groups.values())), "traders": []}
    logins["operator"] = {key: logins["staff"][0][key] for key in ("email", "password", "totp_secret")}
    say(f"{len(symbols)} symbols, {len(groups)} groups, {len(logins['staff'])} staff")
    generator = random.Random(settings.FEED_SEED)  # noqa: S311 - a demo's choices, no secret
    holders = []
    for number in range(1, CLIENTS + 1):
        holder, login = _client(number, generator, groups)
        holders.append(holder)
        if login:
            logins["traders"].append(login)
        progress(number)
    market = DemoMarket()
    _fund(holders, generator)
    if Order.objects.count() < CLIENTS * WAVES // 3:
        for wave in range(WAVES):
            _trade(holders, generator, market, opens_only=wave < 2)
            progress(CLIENTS + wave + 1)
        _leave_orders(holders, generator, market)
    market.refresh()
    demo_history.seed(market.simulated, now=clock.now())
    demo_controls.seed(groups)
    demo_funds.seed(groups, [holder.account for holder in holders[:SHOWN]])
    demo_crm.seed()
    return logins


def password() -> str:
    """Return `RTX_DEMO_PASSWORD`, or a new random password."""
    return settings.DEMO_PASSWORD or secrets.token_urlsafe(12)


def _staff(groups: list[TradingGroup]) -> list[dict[str, str]]:
    found = []
    for email, role, name in demo_people.STAFF:
        chosen = password()
        user = User.objects.filter(email=email).first()
        if user is None:
            user = users.create_user(email=email, password=chosen, role=role, display_name=name)
        else:
            users.set_password(user_id=user.pk, password=chosen)
        if not user.is_superuser:
            for group in groups:
                if not user.reach_grants.filter(trading_group=group).exists():
                    grant = ReachGrant(user=user, trading_group=group, reason="demo")
                    reach.give(grant, actor=SEEDER)
        secret = second_factors.enroll_totp(user=user)
        found.append({"email": email, "password": chosen, "role": role, "totp_secret": secret})
    return found


def _client(
    number: int, generator: random.Random, groups: dict[str, TradingGroup]
) -> tuple[Holder, dict[str, Any] | None]:
    person = demo_people.person(number, generator)
    name = generator.choices(list(GROUP_SHARES), list(GROUP_SHARES.values()))[0]
    group = groups["standard" if number == 1 else name]
    leverage = min(generator.choice([30, 50, 100, 200]), group.leverage_max)
    chosen = password() if number <= TRADERS_WITH_LOGIN else None
    client = Client.objects.filter(user__email=person.email).select_related("user").first()
    if client is None:
        client = clients.register(
            email=person.email,
            password=chosen,
            person=PersonalData(
                first_name=person.first_name,
                last_name=person.last_name,
                phone=person.phone,
                address=person.address,
                birth_date=person.birth_date,
            ),
            country=person.country,
            kyc_status="none" if person.kyc_status == "pending" else person.kyc_status,
        )
        if person.kyc_status == "pending":
            kyc.add_document(
                client_id=client.pk,
                kind="passport",
                content=demo_people.passport(person),
                by_id=client.user_id,
                country=person.country,
            )
    elif chosen:
        users.set_password(user_id=client.user_id, password=chosen)
    account = client.trading_accounts.first()
    if account is None:
        account = trading_accounts.open_account(client=client, group=group, leverage=leverage, actor=SEEDER)
    login = {"email": person.email, "password": chosen, "accounts": [account.login]} if chosen else None
    return Holder(account=account, user_id=client.user_id), login


def _fund(holders: list[Holder], generator: random.Random) -> None:
    """Deposit for everyone, and for some a withdrawal or a bonus later; references make it happen once."""
    for holder in holders:
        amount = Decimal(generator.choice([2_000, 5_000, 10_000, 25_000, 50_000]))
        steps = [(BalanceKind.DEPOSIT, amount)]
        if generator.random() < 0.15:
            steps.append((BalanceKind.WITHDRAWAL, -amount / 10))
        if generator.random() < 0.10:
            steps.append((BalanceKind.CREDIT, amount / 20))
        for kind, value in steps:
            balances.change(
                account_id=holder.account.pk,
                kind=kind,
                amount=value,
                reference=f"demo-{kind}",
                actor=SEEDER,
                comment="demo",
            )


def _trade(holders: list[Holder], generator: random.Random, market: DemoMarket, *, opens_only: bool) -> None:
    """Let time pass, then let everyone decide something; all decisions of a wave travel together."""
    market.advance(20)
    open_ids: dict[int, list[int]] = {}
    for account_id, position_id in Position.objects.values_list("account_id", "pk"):
        open_ids.setdefault(account_id, []).append(position_id)
    waiting: list[Future[Outcome]] = []
    for holder in holders:
        held = open_ids.get(holder.account.pk, [])
        if generator.random() < 0.3:
            continue
        if held and not opens_only and generator.random() < CLOSE_SHARE:
            command: Any = positions.close_command(
                account_id=holder.account.pk,
                position_id=generator.choice(held),
                volume=None,
                client_order_id=f"demo-{uuid4().hex[:16]}",
                actor=holder.actor,
            )
        else:
            command = _order(holder, generator, market)
        waiting.append(executor.submit(command))
    for future in waiting:
        future.result(settings.EXECUTOR_RESULT_TIMEOUT_S)


def _leave_orders(holders: list[Holder], generator: random.Random, market: DemoMarket) -> None:
    """Leave orders that wait, and stops on what is open."""
    market.refresh()
    lots = market.sized(LOTS)
    actors = {holder.account.pk: holder.actor for holder in holders}
    waiting = [
        executor.submit(
            demo_orders.pending(account_id, actor=actor, generator=generator, market=market, lots=lots)
        )
        for account_id, actor in actors.items()
        if generator.random() < demo_orders.ORDER_SHARE
    ]
    waiting += [
        executor.submit(command)
        for command in demo_orders.stops(actors=actors, generator=generator, market=market)
    ]
    for future in waiting:
        future.result(settings.EXECUTOR_RESULT_TIMEOUT_S)


def _order(holder: Holder, generator: random.Random, market: DemoMarket) -> Any:
    symbol, lots = generator.choice(market.sized(LOTS))
    return orders.market_command(
        account_id=holder.account.pk,
        order=MarketOrder(
            symbol=symbol,
            side=generator.choice([Side.BUY, Side.SELL]),
            volume=lots * generator.choice([1, 1, 1, 2, 3, 5]),
            client_order_id=f"demo-{uuid4().hex[:16]}",
        ),
        actor=holder.actor,
    )
