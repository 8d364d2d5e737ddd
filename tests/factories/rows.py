"""Rows for integration tests, made as the product makes them: by services and commands, no inserted money."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.test import Client as HttpClient

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import AccountEvent, AccountState, LedgerLine, TradingAccount
from apps.accounts.services import clients, tokens, trading_accounts
from apps.accounts.services.clients import PersonalData
from apps.groups.models import TradingGroup
from apps.market.domain.quotes import Quote
from apps.market.models import Symbol, TradingSession
from apps.market.services.board import own_board
from apps.trading.domain.commands import ClosePosition, Command, Outcome, PlaceMarket, order_command_id
from apps.trading.domain.orders import Side
from apps.trading.services import balances, executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind

D = Decimal
TESTER = Actor.system("test")
PRICES = {
    "EURUSD": ("1.10000", "1.10017"),
    "GBPUSD": ("1.25000", "1.25020"),
    "EURGBP": ("0.85660", "0.85680"),
    "USDJPY": ("150.000", "150.020"),
}
DIGITS = {"USDJPY": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One account, its trader, and an access token for them."""

    id: int
    login: int
    user_id: int
    token: str = field(repr=False)

    @property
    def actor(self) -> Actor:
        """The trader as the journal names them."""
        return Actor(kind=ActorKind.CLIENT, name=f"user:{self.user_id}")

    @property
    def row(self) -> TradingAccount:
        """The account as it stands now."""
        return TradingAccount.objects.select_related("state", "group").get(pk=self.id)


def make_symbols(**changes: Any) -> dict[str, Symbol]:
    """Create forex symbols on an always-open session; `changes` go to all of them."""
    session = TradingSession.objects.create(name="Always", timezone="UTC", always_open=True)
    return {
        name: Symbol.objects.create(
            **{
                "name": name,
                "asset_class": "forex",
                "base_currency": name[:3],
                "profit_currency": name[3:],
                "margin_currency": name[:3],
                "digits": DIGITS.get(name, 5),
                "session": session,
                "quote_age_max_s": 600,
                **changes,
            }
        )
        for name in PRICES
    }


def make_group(name: str = "standard", **values: Any) -> TradingGroup:
    """Create a group: USD, hedging, 1:100, no markup, no commission."""
    return TradingGroup.objects.create(name=name, **values)


def make_holder(*, group: TradingGroup, balance: str = "10000", email: str = "") -> Holder:
    """Register a trader, open an account and deposit money."""
    client = clients.register(
        email=email or f"{uuid4().hex[:12]}@example.com",
        password=None,
        person=PersonalData(first_name="Test", last_name="Trader"),
    )
    account = trading_accounts.open_account(client=client, group=group, actor=TESTER)
    if D(balance):
        deposit(account.pk, balance)
    access = tokens.issue(user_id=client.user_id).access
    return Holder(id=account.pk, login=account.login, user_id=client.user_id, token=access)


def deposit(account_id: int, amount: str) -> Outcome:
    """Deposit money under a fresh reference."""
    return balances.change(
        account_id=account_id,
        kind=BalanceKind.DEPOSIT,
        amount=D(amount),
        reference=f"test-{uuid4().hex}",
        actor=TESTER,
    )


def show(prices: dict[str, tuple[str, str]] | None = None, *, age_ms: int = 0) -> None:
    """Put prices on this process's quote board as of now (the usual ones when none are given)."""
    for name, (bid, ask) in (prices or PRICES).items():
        own_board().put(Quote(name, D(bid), D(ask), clock.now_ms() - age_ms))


def market_order(
    holder: Holder, side: Side = Side.BUY, symbol: str = "EURUSD", *, lots: str = "0.10", **more: Any
) -> PlaceMarket:
    """Return a market order of the holder; a `client_order_id` is made up when none is given."""
    client_order_id = more.pop("client_order_id", None) or f"t-{uuid4().hex[:16]}"
    return PlaceMarket(
        account_id=holder.id,
        command_id=order_command_id(account_id=holder.id, client_order_id=client_order_id),
        actor=more.pop("actor", holder.actor),
        client_order_id=client_order_id,
        symbol=symbol,
        side=side,
        volume=D(lots),
        **more,
    )


def close_order(holder: Holder, position_id: int, *, lots: str | None = None, **more: Any) -> ClosePosition:
    """Return the close of a position of the holder, or of a part."""
    client_order_id = more.pop("client_order_id", None) or f"t-{uuid4().hex[:16]}"
    return ClosePosition(
        account_id=holder.id,
        command_id=order_command_id(account_id=holder.id, client_order_id=client_order_id),
        actor=holder.actor,
        client_order_id=client_order_id,
        position_id=position_id,
        volume=None if lots is None else D(lots),
    )


def events_of(holder: Holder) -> list[AccountEvent]:
    """Return an account's journal in order."""
    return list(AccountEvent.objects.filter(account_id=holder.id).order_by("seq"))


def event_of(command_id: UUID) -> AccountEvent:
    """Return the event that answered a command."""
    return AccountEvent.objects.get(command_id=command_id)


def lines_of(event: AccountEvent) -> dict[str, Decimal]:
    """Return an event's ledger lines by ledger."""
    return dict(LedgerLine.objects.filter(event=event).values_list("ledger", "amount"))


def state_of(holder: Holder) -> tuple[Decimal, Decimal, Decimal, int]:
    """Return an account's balance, credit, margin and seq."""
    found = AccountState.objects.get(account_id=holder.id)
    return found.balance, found.credit, found.margin, found.seq


def together(commands: list[Command]) -> list[Future[Outcome]]:
    """Submit commands so that one batch takes them all, and return their futures."""
    running = executor._executor
    with running._condition:  # the executor cannot take anything while we hold it
        return [executor.submit(command) for command in commands]


class Trader:
    """Calls the API in this process as a holder's program would."""

    def __init__(self, token: str = "") -> None:
        self.http = HttpClient(raise_request_exception=False)
        self.token = token

    def call(
        self,
        method: str,
        path: str,
        body: bytes | str = b"",
        *,
        content_type: str = "application/json",
        **headers: str,
    ) -> Any:
        """Send one request with the holder's token and exactly these bytes."""
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self.http.generic(
            method, path, data=body, content_type=content_type, headers={**given, **headers}
        )
