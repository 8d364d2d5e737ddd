"""
Reads the values of clients and accounts that mappings name, for many at once and only what is named. Nothing
here is written down anywhere.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from django.db.models import Max, Sum

from apps.accounts.models import Client, TradingAccount
from apps.crm.domain.fields import Value
from apps.trading.models import Deal
from rtx.kernel.encryption import DecryptionFailed
from rtx.kernel.money import ZERO

log = structlog.get_logger(__name__)

Values = dict[str, Value]
PLAIN = (
    *("number", "first_name", "last_name", "full_name", "email", "phone", "address", "country"),
    *("birth_date", "kyc_status", "kyc_valid_until", "created_at"),
)
OF_ACCOUNTS = frozenset(
    {"accounts_count", "balance", "deposits", "withdrawals", "lots_traded", "last_deal_at"}
)
PAID = """
    SELECT account_id, payload->>'kind', sum((payload->>'amount')::numeric) FROM accounts_accountevent
    WHERE type = 'balance_changed' AND account_id = ANY(%s) AND payload->>'kind' IN ('deposit', 'withdrawal')
    GROUP BY 1, 2
"""


def client_values(clients: Sequence[Client], names: Collection[str]) -> dict[UUID, Values]:
    """Return the named fields of clients; one whose data does not open is left out."""
    wanted = set(names)
    found: dict[UUID, Values] = {}
    for client in clients:
        try:
            found[client.pk] = {name: getattr(client, name) for name in PLAIN if name in wanted}
        except DecryptionFailed:
            log.error("crm_client_unreadable", client=client.number)
    if "id" in wanted:
        for key, values in found.items():
            values["id"] = str(key)
    if wanted & OF_ACCOUNTS:
        _add_activity(found, wanted)
    return found


def _add_activity(found: dict[UUID, Values], wanted: set[str]) -> None:
    held: dict[UUID, list[TradingAccount]] = defaultdict(list)
    rows = TradingAccount.objects.filter(client_id__in=list(found)).select_related("state")
    for account in rows:
        held[account.client_id].append(account)
    ids = [account.pk for accounts in held.values() for account in accounts]
    paid = _paid(ids) if wanted & {"deposits", "withdrawals"} else {}
    deals = _deals(ids) if wanted & {"lots_traded", "last_deal_at"} else {}
    for key, values in found.items():
        accounts = held.get(key, [])
        told = [deals[account.pk] for account in accounts if account.pk in deals]
        made: Values = {
            "accounts_count": len(accounts),
            "balance": _per_currency((account.currency, account.state.balance) for account in accounts),
            "lots_traded": sum((lots for lots, _ in told), ZERO),
            "last_deal_at": max((at for _, at in told), default=None),
        }
        for name, kind, sign in (("deposits", "deposit", 1), ("withdrawals", "withdrawal", -1)):
            sums = ((a.currency, sign * paid.get((a.pk, kind), ZERO)) for a in accounts)
            made[name] = _per_currency(sums)
        values.update({name: value for name, value in made.items() if name in wanted})


def account_values(accounts: Sequence[TradingAccount], names: Collection[str]) -> dict[int, Values]:
    """Return the named fields of accounts (read with their group and state)."""
    wanted = set(names)
    deals = _deals([a.pk for a in accounts]) if wanted & {"lots_traded", "last_deal_at"} else {}
    found: dict[int, Values] = {}
    for account in accounts:
        lots, last = deals.get(account.pk, (ZERO, None))
        made: Values = {
            "login": account.login,
            "title": f"Account {account.login} {account.currency}",
            "group": account.group.name,
            "currency": account.currency,
            "leverage": account.leverage,
            "status": account.status,
            "balance": account.state.balance,
            "credit": account.state.credit,
            "opened_at": account.opened_at,
            "last_deal_at": last,
            "lots_traded": lots,
        }
        found[account.pk] = {name: value for name, value in made.items() if name in wanted}
    return found


def _per_currency(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for currency, amount in amounts:
        sums[currency] = sums.get(currency, ZERO) + amount
    return sums


def _paid(account_ids: list[int]) -> dict[tuple[int, str], Decimal]:
    with connection.cursor() as cursor:
        cursor.execute(PAID, [account_ids])
        return {(account_id, kind): amount for account_id, kind, amount in cursor.fetchall()}


def _deals(account_ids: list[int]) -> dict[int, tuple[Decimal, datetime]]:
    sums: Any = (
        Deal.objects.filter(account_id__in=account_ids)
        .order_by()
        .values_list("account_id")
        .annotate(Sum("volume"), Max("created_at"))
    )
    return {account_id: (lots, last) for account_id, lots, last in sums}
