"""
A broker whose next tick sets off many orders; run as a module, with a stack's environment and their number.

Places sell stops just below the price, then lets the stored price fall, from which the engine's feed goes on.
"""

import sys
from decimal import Decimal

import django

ACCOUNTS = 30
BID, FALLEN = Decimal("1.10000"), Decimal("1.08000")
LEVELS = 50


def main(orders: int) -> None:
    """Create symbols, accounts and orders; nothing is left to wait for."""
    django.setup()
    from apps.groups.models import TradingGroup
    from apps.market.models import LastQuote, Symbol
    from apps.market.services.symbols import seed_demo_symbols
    from apps.trading.domain.orders import OrderType, Side
    from apps.trading.services import executor
    from rtx.kernel import clock
    from tests.factories import rows
    from tests.factories.triggering import pending

    seed_demo_symbols()
    Symbol.objects.exclude(name="EURUSD").delete()
    Symbol.objects.update(quote_age_max_s=600)
    group = TradingGroup.objects.create(name="burst", leverage_max=500, position_mode="hedging")
    holders = [rows.make_holder(group=group, balance="100000") for _ in range(ACCOUNTS)]
    rows.show({"EURUSD": (str(BID), str(BID + Decimal("0.00010")))})
    commands = [
        pending(
            holders[number % ACCOUNTS],
            Side.SELL,
            OrderType.STOP,
            str(BID - Decimal("0.00001") * (100 + number % LEVELS)),
            lots="0.01",
        )
        for number in range(orders)
    ]
    answers = []
    for start in range(0, len(commands), 1000):
        answers += [future.result(30) for future in map(executor.submit, commands[start : start + 1000])]
    assert all(answer.type == "order_placed" for answer in answers), answers[0]
    LastQuote.objects.update_or_create(
        symbol=Symbol.objects.get(),
        defaults={
            "bid": FALLEN,
            "ask": FALLEN + Decimal("0.00010"),
            "time": clock.now(),
            "source": "simulated",
            "simulated": True,
        },
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
