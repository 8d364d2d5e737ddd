"""
What is asked of the dispatcher of liquidations: whom, how urgently, and how many at a time. Submits nothing.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import NAMESPACE_OID, UUID, uuid5

from django.db import connection

TOGETHER_MAX = 48
POSITIONS_MAX = 150  # closed together, unless one account alone has more: other clients wait meanwhile
FACTS = """
    SELECT s.account_id, s.seq, (SELECT count(*) FROM trading_position p WHERE p.account_id = s.account_id)
    FROM accounts_accountstate s WHERE s.account_id = ANY(%s)
"""


class Rank(NamedTuple):
    """Who goes first: the lower margin level, of the same the lower equity."""

    level_pct: float
    equity: float = 0.0


WORST = Rank(-math.inf)


class Ask(NamedTuple):
    """One account to stop out, how badly it stands, and who asked."""

    account_id: int
    rank: Rank
    cause: str
    quote_time_ms: int | None
    fence: int
    shard: str


class Arrived(NamedTuple):
    """A list of accounts as it was offered."""

    ranks: Mapping[int, Rank]
    cause: str
    quote_time_ms: int | None
    fence: int
    shard: str
    is_urgent: bool
    seqs: Mapping[int, int]

    def overrules(self, before: "Arrived") -> bool:
        """Say whether an earlier list of the same asker need not be looked at any more."""
        same = (self.cause, self.fence, self.shard) == (before.cause, before.fence, before.shard)
        return same and not before.is_urgent and before.ranks.keys() <= self.ranks.keys()


def command_id_of(account_id: int, *, seq: int) -> UUID:
    """Return the one command id of stopping out an account as it stands after its event `seq`."""
    return uuid5(NAMESPACE_OID, f"rtx:stop_out:{account_id}:{seq}")


class Facts(NamedTuple):
    """The number of an account's last event, and how many positions it has open."""

    seq: int
    positions: int


def facts_of(account_ids: Sequence[int]) -> dict[int, Facts]:
    """Return what is known of accounts; what is no account is left out."""
    with connection.cursor() as cursor:
        cursor.execute(FACTS, [list(account_ids)])
        return {account_id: Facts(seq, positions) for account_id, seq, positions in cursor.fetchall()}


def fitting(account_ids: Sequence[int], facts: Mapping[int, Facts]) -> int:
    """Return how many of the accounts, from the first, are few enough to be closed together; at least one."""
    positions = 0
    for number, account_id in enumerate(account_ids[:TOGETHER_MAX]):
        positions += facts[account_id].positions if account_id in facts else 0
        if number and positions > POSITIONS_MAX:
            return number
    return min(len(account_ids), TOGETHER_MAX)
