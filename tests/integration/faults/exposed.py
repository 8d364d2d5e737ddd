"""
Makes accounts with open positions in a running stack: `python -m tests.integration.faults.exposed NAME COUNT`
with the stack's environment; NAME is their group's. They are healthy until its stop-out level is raised.
"""

import sys
from decimal import Decimal
from typing import Any
from uuid import uuid4

import django

SYMBOLS = ("EURUSD", "EURUSD", "GBPUSD")


def main(name: str, count: int) -> None:
    """Open accounts of one client, deposit, buy."""
    django.setup()
    from apps.accounts.domain.ledger import BalanceKind
    from apps.accounts.services import clients, trading_accounts
    from apps.accounts.services.clients import PersonalData
    from apps.groups.models import TradingGroup
    from apps.trading.domain.commands import ChangeBalance, balance_command_id
    from apps.trading.services import executor
    from tests.factories import rows

    group = TradingGroup.objects.create(name=name, leverage_max=500)
    person = PersonalData(first_name="Test", last_name="Exposed")
    client = clients.register(email=f"{uuid4().hex}@example.com", password=None, person=person)
    ids = [
        trading_accounts.open_account(client=client, group=group, actor=rows.TESTER).pk for _ in range(count)
    ]
    _all_of(
        executor.submit(
            ChangeBalance(
                account_id=account_id,
                command_id=balance_command_id(account_id=account_id, reference="first"),
                actor=rows.TESTER,
                kind=BalanceKind.DEPOSIT,
                amount=Decimal(10_000),
                reference="first",
            )
        )
        for account_id in ids
    )
    for symbol in SYMBOLS:
        _all_of(
            executor.submit(
                rows.market_order(
                    rows.Holder(id=account_id, login=0, user_id=0, token=""), symbol=symbol, lots="0.10"
                )
            )
            for account_id in ids
        )


def _all_of(futures: Any) -> None:
    for future in list(futures):
        outcome = future.result(60)
        if outcome.refusal:
            raise SystemExit(f"refused: {outcome.refusal}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
