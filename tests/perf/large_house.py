"""
A house of 100,000 accounts with 500,000 open positions, for what only reads accounts and positions.

One account trades with real orders; its rows are multiplied within the database, account by account, with
balances spread from just above stop-out to comfortable. The copies have no journal: whatever verifies books
must run before.
"""

import time
from decimal import Decimal
from typing import Any

import psycopg

from tests.perf.broker import Broker, NotMeasured, Say

ACCOUNTS = 100_000
POSITIONS = (("EURUSD", "buy"), ("GBPUSD", "sell"), ("USDJPY", "buy"), ("XAUUSD", "sell"), ("AUDUSD", "buy"))
PRICES = {
    "EURUSD": ("1.10000", "1.10010"),
    "GBPUSD": ("1.25000", "1.25010"),
    "USDJPY": ("150.000", "150.010"),
    "XAUUSD": ("2400.100", "2400.300"),
    "AUDUSD": ("0.65000", "0.65010"),
}
LOTS = Decimal("0.10")
ACCOUNT = """
    INSERT INTO accounts_tradingaccount
        (login, client_id, group_id, currency, position_mode, leverage, status, opened_at)
    SELECT 50000000 + n, client_id, group_id, currency, position_mode, leverage, status, opened_at
    FROM accounts_tradingaccount, generate_series(1, %(count)s) n WHERE id = %(template)s
"""
STATE = """
    INSERT INTO accounts_accountstate (account_id, balance, credit, margin, seq, updated_at)
    SELECT a.id, s.margin * (0.6 + (a.id %% 1000) * 0.01), s.credit, s.margin, s.seq, s.updated_at
    FROM accounts_tradingaccount a, accounts_accountstate s
    WHERE a.login > 50000000 AND s.account_id = %(template)s
"""
POSITION = """
    INSERT INTO trading_position
        (id, account_id, symbol_id, side, volume, cost, open_price, margin_rate, terms, swap, commission,
         book, last_deal_id, opened_at, updated_at)
    SELECT nextval('trading_ticket'), a.id, p.symbol_id, p.side, p.volume,
           p.cost * (1 + (a.id %% 100) * 0.00001), p.open_price, p.margin_rate, p.terms,
           -0.35 * (a.id %% 3), p.commission, p.book, p.last_deal_id,
           p.opened_at - (%(count)s - a.number) * interval '20 seconds', p.updated_at
    FROM (
        SELECT id, row_number() OVER (ORDER BY id) AS number
        FROM accounts_tradingaccount WHERE login > 50000000
    ) a
    CROSS JOIN LATERAL (SELECT * FROM trading_position WHERE account_id = %(template)s ORDER BY id) p
    ORDER BY a.number
"""


def make(broker: Broker, say: Say, *, accounts: int = ACCOUNTS) -> Any:
    """Make the house once for this broker and return its group; nothing else may run."""
    from apps.groups.models import TradingGroup

    broker.stop("web", "stream", "engine")
    show()
    group, is_new = TradingGroup.objects.get_or_create(name="large-house", defaults={"leverage_max": 100})
    if not is_new:
        return group
    started = time.perf_counter()
    given = {"template": _template(group), "count": accounts - 1}
    with psycopg.connect(broker.stack.owner_url, autocommit=True) as owner:
        for statement in (ACCOUNT, STATE, POSITION):
            owner.execute(statement, given)
        owner.execute("VACUUM ANALYZE")
    say(f"  {accounts:,} accounts with {accounts * len(POSITIONS):,} positions made")
    say(f"  in {time.perf_counter() - started:.0f} s")
    return group


def show() -> None:
    """Put the prices on this process's board as of now."""
    from apps.market.domain.quotes import Quote
    from apps.market.models import Symbol
    from apps.market.services.board import own_board
    from rtx.kernel import clock

    always = Symbol.objects.get(name="BTCUSD").session
    Symbol.objects.filter(name__in=PRICES).update(session=always, quote_age_max_s=86_400)
    for name, (bid, ask) in PRICES.items():
        own_board().put(Quote(name, Decimal(bid), Decimal(ask), clock.now_ms()))


def _template(group: Any) -> int:
    """Open an account, deposit and trade through the executor; return its id."""
    from apps.accounts.domain.ledger import BalanceKind
    from apps.accounts.models import Client
    from apps.accounts.services import trading_accounts
    from apps.trading.domain.orders import Side
    from apps.trading.services import balances, orders
    from apps.trading.services.orders import MarketOrder
    from rtx.kernel.actor import Actor

    actor = Actor.system("bench")
    account = trading_accounts.open_account(client=Client.objects.order_by("pk")[0], group=group, actor=actor)
    balances.change(
        account_id=account.pk,
        kind=BalanceKind.DEPOSIT,
        amount=Decimal(5_000),
        reference="large-house",
        actor=actor,
    )
    for number, (symbol, side) in enumerate(POSITIONS):
        order = MarketOrder(
            symbol=symbol, side=Side(side), volume=LOTS, client_order_id=f"large-house-{number}"
        )
        if orders.place_market(account_id=account.pk, order=order, actor=actor).order.status != "filled":
            raise NotMeasured(f"the template's order in {symbol} was not filled")
    return int(account.pk)
