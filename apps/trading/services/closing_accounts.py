"""
Closing accounts: what must not be left behind is asked of every app first (`CLOSING_CHECKS`), then the book
decides under the lock that the account is empty.
"""

from collections.abc import Sequence

from django.conf import settings
from django.utils.module_loading import import_string

from apps.trading.domain.commands import CloseAccount, Outcome
from apps.trading.domain.operations import AccountNotEmpty
from apps.trading.models import Order, Position
from apps.trading.services import executor


def obstacles(account_ids: Sequence[int]) -> list[str]:
    """Return what stands against ending these accounts, as sentences without personal data."""
    return [said for path in settings.CLOSING_CHECKS for said in import_string(path)(account_ids)]


def still_trading(account_ids: Sequence[int]) -> list[str]:
    """Name open positions and working orders."""
    found = []
    for name, rows in (
        ("open positions", Position.objects.all()),
        ("working orders", Order.objects.filter(status__in=["working", "partially_filled"])),
    ):
        count = rows.filter(account_id__in=list(account_ids)).count()
        if count:
            found.append(f"{count} {name}")
    return found


def close(command: CloseAccount) -> Outcome:
    """
    Close an empty account.

    :raises AccountNotEmpty: something is left.
    """
    left = obstacles([command.account_id])
    if left:
        raise AccountNotEmpty(f"There is still: {', '.join(left)}.")
    return executor.run(command)
