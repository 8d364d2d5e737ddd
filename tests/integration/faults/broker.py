"""
Makes a small broker in a stack's database: `python -m tests.integration.faults.broker ACCOUNTS [MODE]` with
the stack's environment. Prints what a client program needs to trade, as JSON.
"""

import json
import sys
from decimal import Decimal

import django


def main(accounts: int, position_mode: str = "netting") -> None:
    """Create symbols, a group and traders with money and tokens."""
    django.setup()
    from apps.groups.models import TradingGroup
    from apps.market.models import Symbol
    from apps.market.services.symbols import seed_demo_symbols
    from apps.trading.services.balances import BalanceKind
    from tests.factories import rows

    seed_demo_symbols()
    Symbol.objects.exclude(name__in=["EURUSD", "GBPUSD", "USDJPY", "EURGBP"]).delete()
    Symbol.objects.update(quote_age_max_s=3)
    group = TradingGroup.objects.create(name="standard", leverage_max=500, position_mode=position_mode)
    holders = [rows.make_holder(group=group, balance="0") for _ in range(accounts)]
    for holder in holders:
        rows.balances.change(
            account_id=holder.id,
            kind=BalanceKind.DEPOSIT,
            amount=Decimal(100_000),
            reference="first",
            actor=rows.TESTER,
        )
    print(json.dumps([{"login": holder.login, "token": holder.token} for holder in holders]))


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
