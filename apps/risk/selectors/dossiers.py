"""
A liquidation with its dossier, derived once more: from the account's journal up to just before it, and from
the dossier's own prices, rates and terms. Reads only.
"""

from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection, transaction
from psycopg import ServerCursor

from apps.groups.domain.terms import PositionMode
from apps.risk.domain import stories
from apps.risk.models import Liquidation
from apps.trading.domain import dossiers, stop_out
from apps.trading.domain.dossiers import NotReproduced
from apps.trading.domain.holdings import Account
from apps.trading.domain.replaying import Divergence, Replay
from rtx.kernel.errors import Conflict, NotFound

EVENTS_AT_ONCE = 1000
EVENTS = """
    SELECT seq, type, payload::text FROM accounts_accountevent
    WHERE account_id = %s AND seq < %s ORDER BY seq
"""


class LiquidationUnknown(NotFound):
    """There is no such liquidation."""

    code = "liquidation_not_found"
    title = "Liquidation not found"


@dataclass(frozen=True, slots=True)
class Derived:
    """A dossier made again. `difference` is empty when it is the same, byte for byte."""

    told: dict[str, Any]
    difference: str

    @property
    def is_identical(self) -> bool:
        """Whether the same dossier came of it."""
        return not self.difference


def liquidation(liquidation_id: int) -> Liquidation:
    """
    Return a liquidation with its account, group and event.

    :raises LiquidationUnknown: there is none of this number.
    """
    found = Liquidation.objects.select_related("account", "group", "event").filter(pk=liquidation_id).first()
    if found is None:
        raise LiquidationUnknown(f"There is no liquidation {liquidation_id}.")
    return found


def derived(row: Liquidation) -> Derived:
    """Make a dossier again and compare it with the one that was kept."""
    told: dict[str, Any] = orjson.loads(row.dossier)
    try:
        again = dossiers.reproduced(row.dossier, account_before(row), decide=stop_out.stop_out)
    except (NotReproduced, Divergence, Conflict) as error:
        return Derived(told, f"cannot be derived: {error}")
    if again == row.dossier:
        return Derived(told, "")
    return Derived(told, stories.difference(told, orjson.loads(again)) or "the texts differ, not the values")


def account_before(row: Liquidation) -> Replay:
    """
    Return the account just before a liquidation, derived from its journal.

    :raises Divergence: the journal contradicts itself.
    """
    replay: Replay | None = None
    with transaction.atomic(), ServerCursor(connection.connection, "rtx_dossier") as cursor:
        cursor.itersize = EVENTS_AT_ONCE
        cursor.execute(EVENTS, (row.account_id, row.event.seq))
        for seq, type_, text in cursor:
            payload = orjson.loads(text)
            if replay is None:
                replay = Replay(account=_opened(row, payload))
            replay.replay(seq=seq, type_=type_, payload=payload)
    if replay is None:
        raise Divergence(f"account {row.account_id} has no journal before event {row.event.seq}")
    return replay


def _opened(row: Liquidation, payload: dict[str, Any]) -> Account:
    return Account(
        id=row.account_id,
        login=payload["login"],
        group_id=row.group_id,
        currency=payload["currency"],
        position_mode=PositionMode(payload["position_mode"]),
        leverage=payload["leverage"],
    )
