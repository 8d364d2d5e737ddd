"""A statement with a bit of everything, for what writes statements to files."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.accounts.domain.ledger import BalanceKind
from apps.market.domain.symbols import MarginMode
from apps.trading.domain.orders import ContractTerms, Order, OrderStatus, OrderType, Position, Side
from apps.trading.domain.statements import (
    Closing,
    CurvePoint,
    DealLine,
    Heading,
    Money,
    Movement,
    OpenPosition,
    Period,
    Statement,
    SwapLine,
)

D = Decimal
START = datetime(2026, 1, 5, tzinfo=UTC)
TERMS = ContractTerms(
    mode=MarginMode.FOREX,
    contract_size=D(100_000),
    hedged_contract_size=D(100_000),
    leverage=100,
    rate_buy=D(1),
    rate_sell=D(1),
    initial=D(0),
    tick_factor=D(1),
    digits=5,
    margin_currency="EUR",
    profit_currency="USD",
)


def make_heading(**changes: Any) -> Heading:
    """Return the heading of account 100001."""
    values: dict[str, Any] = {
        "broker": "RTX",
        "holder": "Zoë Łukasiewicz Дмитрий Žižek",
        "login": 100001,
        "group": "standard",
        "currency": "USD",
        "position_mode": "hedging",
        "generated_at": datetime(2026, 1, 7, 8, tzinfo=UTC),
    }
    return Heading(**{**values, **changes})


def make_statement(*, deals: int = 3, comment: str = "", reference: str = "bank-1") -> Statement:
    """Return the statement of two days: a deposit of 1,000.00, deals that lose 1.25 each, one night."""
    balance = D("1000.00")
    deposit = Movement(
        seq=2,
        at=START,
        kind=BalanceKind.DEPOSIT,
        amount=balance,
        reference=reference,
        comment=comment,
        balance=balance,
        credit=D(0),
    )
    made = []
    for number in range(deals):
        balance -= D("1.25")
        made.append(
            DealLine(
                seq=3 + number,
                at=START + timedelta(days=2) * number / deals,
                id=500 + number,
                order_id=400 + number,
                position_id=300 + number,
                client_order_id=f"order-{number}",
                reason="client",
                symbol=("EURUSD", "GBPUSD")[number % 2],
                entry="out",
                side="sell",
                volume=D("0.10"),
                price=D("1.10017"),
                profit=D("-0.50"),
                commission=D("-0.70"),
                swap=D("-0.05"),
                balance=balance,
                comment=comment,
            )
        )
    night = SwapLine(
        seq=3 + deals,
        at=START + timedelta(hours=22),
        date="2026-01-05",
        position_id=77,
        symbol="EURUSD",
        kind="swap",
        side="buy",
        volume=D("0.30"),
        multiplier=1,
        amount=D("-0.52"),
        is_settled=False,
        balance=balance,
    )
    end = START + timedelta(days=2)
    return Statement(
        login=100001,
        currency="USD",
        period=Period(START, end),
        opening=Money(),
        closing=Closing(
            at=end,
            money=Money(balance, D(0)),
            margin=D("333.33"),
            leverage=100,
            status="active",
            floating=D("-12.30"),
            equity=balance - D("12.30"),
            free_margin=balance - D("345.63"),
        ),
        deals=made,
        movements=[deposit],
        swaps=[night],
        positions=[
            OpenPosition(_position(), D("1.10000"), D("-12.30")),
            OpenPosition(_position(), None, None),
        ],
        orders=[_order(comment)],
        curve=[CurvePoint(START, D(0), D(0)), CurvePoint(end, balance, None)],
    )


def _position() -> Position:
    return Position(
        id=77,
        symbol="EURUSD",
        side=Side.BUY,
        volume=D("0.30"),
        cost=D("0.33"),
        margin_rate=D(1),
        terms=TERMS,
        book="b",
        last_deal_id=1,
        opened_at=START,
        stop_loss=D("1.09000"),
    )


def _order(comment: str) -> Order:
    return Order(
        id=90,
        client_order_id="waits",
        symbol="EURUSD",
        side=Side.SELL,
        type=OrderType.STOP_LIMIT,
        volume=D("1.00"),
        status=OrderStatus.WORKING,
        created_at=START,
        price=D("1.08000"),
        stop_limit_price=D("1.08100"),
        comment=comment,
    )
