"""Reads of trading accounts: whose they are, and which of them a user may see."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from apps.accounts.models import AccountState, TradingAccount
from rtx.kernel.errors import NotFound

OWNERSHIP_KEPT_S = 30.0
OWNERSHIPS_KEPT = 50_000


class AccountNotFound(NotFound):
    """There is no such account, or it is not the caller's."""

    code = "account_not_found"
    title = "Account not found"


@dataclass(frozen=True, slots=True)
class AccountRef:
    """What identifies an account. Its owner and currency never change; its group may."""

    id: int
    login: int
    user_id: int
    group_id: int
    currency: str


_lock = threading.Lock()
_known: dict[tuple[int, int], tuple[float, str, AccountRef]] = {}


def owned(*, user_id: int, login: int) -> AccountRef:
    """
    Return the caller's account. What was found is kept in this process for some seconds.

    :raises AccountNotFound: unknown, or somebody else's.
    """
    key = (user_id, login)
    database = settings.DATABASES["default"]["NAME"]
    kept = _known.get(key)
    if kept is not None and kept[1] == database and time.monotonic() - kept[0] < OWNERSHIP_KEPT_S:
        return kept[2]
    found = _refs(user_id=user_id, login=login)
    if not found:
        raise AccountNotFound
    with _lock:
        if len(_known) >= OWNERSHIPS_KEPT:
            _known.clear()
        _known[key] = (time.monotonic(), database, found[0])
    return found[0]


def groups_of(account_ids: Iterable[int]) -> dict[int, int]:
    """Return the present group of accounts: an `AccountRef` that was kept may be older than a move."""
    return dict(TradingAccount.objects.filter(pk__in=list(account_ids)).values_list("pk", "group_id"))


def accounts_of(*, user_id: int) -> list[AccountRef]:
    """Return all accounts of a user, by login."""
    return _refs(user_id=user_id)


def _refs(**wanted: int) -> list[AccountRef]:
    filters = {"client__user_id": wanted["user_id"]}
    if "login" in wanted:
        filters["login"] = wanted["login"]
    rows = TradingAccount.objects.filter(**filters).order_by("login")
    return [
        AccountRef(id=pk, login=login, user_id=wanted["user_id"], group_id=group_id, currency=currency)
        for pk, login, group_id, currency in rows.values_list("pk", "login", "group_id", "currency")
    ]


def still_owning(account_ids: Iterable[int]) -> list[str]:
    """Name money and credit that accounts still have (one of the `CLOSING_CHECKS`)."""
    rows = AccountState.objects.filter(account_id__in=list(account_ids)).exclude(balance=0, credit=0)
    count = rows.count()
    return [f"money on {count} account{'' if count == 1 else 's'}"] if count else []
