"""
A broker with many working orders and some positions; run as a module, with a stack's environment and their
number.
"""

import sys

import django

ACCOUNTS = 20
POSITIONS_EACH = 3


def main(orders: int) -> None:
    """Create symbols, accounts, orders and positions, and the quote that the engine begins with."""
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
    group = TradingGroup.objects.create(
        name="many", leverage_max=500, position_mode="hedging", orders_max=10_000
    )
    holders = [rows.make_holder(group=group, balance="100000") for _ in range(ACCOUNTS)]
    rows.show({"EURUSD": ("1.10000", "1.10010")})
    commands: list = [
        pending(holders[number % ACCOUNTS], Side.BUY, OrderType.LIMIT, "0.50000", lots="0.01")
        for number in range(orders)
    ]
    commands += [rows.market_order(one, lots="0.01") for one in holders for _ in range(POSITIONS_EACH)]
    for start in range(0, len(commands), 1000):
        answers = [future.result(30) for future in map(executor.submit, commands[start : start + 1000])]
        assert not any(answer.refusal for answer in answers)
    LastQuote.objects.update_or_create(
        symbol=Symbol.objects.get(),
        defaults={
            "bid": rows.D("1.10000"),
            "ask": rows.D("1.10010"),
            "time": clock.now(),
            "source": "simulated",
            "simulated": True,
        },
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
