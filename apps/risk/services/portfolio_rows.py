"""Turns what the selectors read into what a portfolio takes. Reads nothing itself."""

import numpy as np

from apps.risk.selectors.portfolio import FactsRow, HeldRow, Shard
from apps.risk.services.portfolio import Bulk
from apps.risk.services.portfolio_accounts import Facts
from apps.risk.services.portfolio_blocks import Held

Changed = list[tuple[Facts, list[Held]]]


def of_shard(shard: Shard) -> tuple[list[Facts], Bulk]:
    """Return all accounts and positions of a shard."""
    found = shard.positions
    size = np.where(found.is_buy, found.unit, -found.unit)
    return [Facts(*row) for row in shard.accounts], Bulk(
        ids=found.id,
        accounts=found.account,
        symbol=found.symbol,
        profit_currency=found.profit_currency,
        is_buy=found.is_buy,
        slope=found.volume * size,
        base=-found.cost * size,
        swap=found.swap,
        is_own=found.is_own,
        symbols=found.symbols,
        profit_currencies=found.profit_currencies,
    )


def of_accounts(rows: list[tuple[FactsRow, list[HeldRow]]]) -> Changed:
    """Return what some accounts have become."""
    return [(Facts(*facts), [_held(row) for row in held]) for facts, held in rows]


def _held(row: HeldRow) -> Held:
    size = row.unit if row.is_buy else -row.unit
    return Held(
        id=row.id,
        symbol=row.symbol,
        profit_currency=row.profit_currency,
        is_buy=row.is_buy,
        slope=row.volume * size,
        base=-row.cost * size,
        swap=row.swap,
        is_own=row.is_own,
    )
