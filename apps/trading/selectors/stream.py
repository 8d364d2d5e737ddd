"""Reads of the account stream: journal events after a `seq`, and how far each account is."""

from collections.abc import Iterable

from apps.accounts.models import AccountEvent, AccountState
from apps.trading import events


def events_after(*, account_id: int, login: int, seq: int, limit: int) -> list[tuple[int, bytes]]:
    """
    Return up to `limit` stream messages of an account after `seq`, in order, each with its own `seq`.

    Events of one account become visible in order, because each is numbered and committed under the account's
    lock.
    """
    rows = (
        AccountEvent.objects.filter(account_id=account_id, seq__gt=seq)
        .order_by("seq")
        .values_list("seq", "type", "at", "payload")[:limit]
    )
    return [
        (number, events.stream_message(login=login, seq=number, type_=type_, at=at, payload=payload))
        for number, type_, at, payload in rows
    ]


def last_seqs(account_ids: Iterable[int]) -> dict[int, int]:
    """Return account id -> number of its last event, in one query."""
    found = AccountState.objects.filter(account_id__in=list(account_ids))
    return dict(found.values_list("account_id", "seq"))
