"""
A small broker in the test's database, and bulk rows for lists. Money and orders go through the executor.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.db import connection
from guardian.shortcuts import assign_perm

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import Client, TradingAccount, User
from apps.accounts.services import clients, trading_accounts
from apps.accounts.services.clients import PersonalData
from apps.groups.models import TradingGroup
from apps.market.domain.quotes import Quote
from apps.market.models import Symbol, TradingSession
from apps.market.services.board import board
from apps.trading.domain.orders import Side
from apps.trading.services import balances, orders
from apps.trading.services.orders import MarketOrder
from rtx.kernel import clock
from rtx.kernel.actor import Actor

SEEDER = Actor.system("tests")
PASSWORD = "correct horse battery 17"


@dataclass(slots=True)
class House:
    """Symbols EURUSD and USDJPY, a group in USD and one in EUR, each with one funded account."""

    eurusd: Symbol
    usdjpy: Symbol
    usd: TradingGroup
    eur: TradingGroup
    anna: TradingAccount
    bruno: TradingAccount


def quote(symbol: str, bid: str, ask: str) -> None:
    """Put a fresh quote on the board."""
    board().put(Quote(symbol=symbol, bid=Decimal(bid), ask=Decimal(ask), time_ms=clock.now_ms()))


def make_symbol(name: str, *, digits: int = 5, session: TradingSession) -> Symbol:
    """Create a forex symbol named by its two currencies."""
    return Symbol.objects.create(
        name=name,
        asset_class="forex",
        base_currency=name[:3],
        profit_currency=name[3:],
        margin_currency=name[:3],
        digits=digits,
        session=session,
        quote_age_max_s=600,
    )


def open_account(*, email: str, last_name: str, group: TradingGroup, deposit: str) -> TradingAccount:
    """Register a client, open an account and book a deposit."""
    person = PersonalData(first_name="Test", last_name=last_name, phone="+49 170 5550123")
    client: Client = clients.register(email=email, password=PASSWORD, person=person, country="DE")
    account = trading_accounts.open_account(client=client, group=group, actor=SEEDER)
    balances.change(
        account_id=account.pk,
        kind=BalanceKind.DEPOSIT,
        amount=Decimal(deposit),
        reference="first",
        actor=SEEDER,
    )
    return account


def make_house() -> House:
    """Create the broker with quotes for both symbols."""
    session = TradingSession.objects.create(name="always", timezone="UTC", always_open=True)
    eurusd = make_symbol("EURUSD", session=session)
    usdjpy = make_symbol("USDJPY", digits=3, session=session)
    usd = TradingGroup.objects.create(name="usd", currency="USD")
    eur = TradingGroup.objects.create(name="eur", currency="EUR")
    quote("EURUSD", "1.10000", "1.10010")
    quote("USDJPY", "150.000", "150.010")
    anna = open_account(email="anna@example.com", last_name="Ahlberg", group=usd, deposit="10000")
    bruno = open_account(email="bruno@example.com", last_name="Bianchi", group=eur, deposit="5000")
    return House(eurusd=eurusd, usdjpy=usdjpy, usd=usd, eur=eur, anna=anna, bruno=bruno)


def buy(account: TradingAccount, symbol: str, lots: str, *, side: Side = Side.BUY) -> Any:
    """Place a market order and return its outcome."""
    order = MarketOrder(symbol=symbol, side=side, volume=Decimal(lots), client_order_id=uuid4().hex)
    return orders.place_market(account_id=account.pk, order=order, actor=SEEDER)


def staff(email: str, *, role: str = User.Role.DEALER, groups: tuple[TradingGroup, ...] = ()) -> User:
    """Create a member of staff with the right to operate these groups and no other right."""
    user = User.objects.create_user(email, PASSWORD, role=role, is_staff=True)
    for group in groups:
        assign_perm("groups.manage_group", user, group)
    return user


ORDERS = """
    INSERT INTO trading_order (id, account_id, symbol_id, client_order_id, side, type, status, volume,
                               filled_volume, reject_reason, comment, created_at, updated_at, reason,
                               time_in_force, terms)
    SELECT nextval('trading_ticket'), %s, %s, 'bulk-' || n, CASE WHEN n %% 2 = 0 THEN 'buy' ELSE 'sell' END,
           'market', 'rejected', 0.10, 0, 'no_money', '', now() - n * interval '1 second', now(), 'client',
           'gtc', ''
    FROM generate_series(%s + 1, %s) n
"""
EVENTS = """
    INSERT INTO accounts_accountevent (account_id, seq, type, at, command_id, fingerprint, actor, request_id,
                                       payload)
    SELECT %s, 1000 + n, 'order_rejected', now(), gen_random_uuid(), '', 'system:tests', '',
           '{"order": {"id": 1}}'
    FROM generate_series(%s + 1, %s) n
"""
LINES = """
    INSERT INTO accounts_ledgerline (event_id, account_id, ledger, amount, currency, at)
    SELECT e.id, e.account_id, v.ledger, v.amount, 'USD', now()
    FROM accounts_accountevent e, (VALUES ('client', -1.25), ('commission', 1.25)) v(ledger, amount)
    WHERE e.seq > 1000 AND NOT EXISTS (SELECT FROM accounts_ledgerline l WHERE l.event_id = e.id)
"""
TERMS = (
    '{"mode":"forex","contract_size":"100000","hedged_contract_size":"100000","leverage":100,"rate_buy":"1",'
    '"rate_sell":"1","initial":"0","tick_factor":"1","digits":5,"margin_currency":"EUR",'
    '"profit_currency":"USD"}'
)
POSITIONS = """
    WITH made AS (
        INSERT INTO trading_deal (id, order_id, account_id, symbol_id, position_id, entry, side, volume,
            price, profit, commission, swap, markup, raw_bid, raw_ask, client_bid, client_ask, quote_at,
            profit_rate, margin_rate, rule, terms_version, book, created_at)
        SELECT nextval('trading_ticket'), id, account_id, symbol_id, id, 'in', side, volume, 1.1, 0, 0, 0, 0,
               1.1, 1.1, 1.1, 1.1, now(), 1, 1, 'none', 1, 'b', now()
        FROM trading_order o
        WHERE client_order_id LIKE 'bulk-%%'
          AND NOT EXISTS (SELECT FROM trading_deal d WHERE d.order_id = o.id)
        RETURNING *
    )
    INSERT INTO trading_position (id, account_id, symbol_id, side, volume, cost, open_price, margin_rate,
        terms, swap, commission, book, last_deal_id, opened_at, updated_at)
    SELECT position_id, account_id, symbol_id, side, volume, volume * price, price, 1, %s, 0, 0, 'b', id,
           now(), now()
    FROM made
"""


def fill(house: House, rows: int, *, after: int = 0) -> None:
    """
    Add the orders `after` + 1 to `rows` with as many deals, positions and events and twice as many ledger
    lines, past the executor.
    """
    with connection.cursor() as cursor:
        cursor.execute(ORDERS, [house.anna.pk, house.eurusd.pk, after, rows])
        cursor.execute(POSITIONS, [TERMS])
        cursor.execute(EVENTS, [house.anna.pk, after, rows])
        cursor.execute(LINES)
