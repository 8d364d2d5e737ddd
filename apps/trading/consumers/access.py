"""
Who a socket belongs to and which accounts it may use. Asks the accounts app in a thread, remembers what
never changes.
"""

from collections.abc import Iterable

from apps.accounts.selectors import tokens
from apps.accounts.selectors.accounts import AccountRef, accounts_of, groups_of, owned
from apps.accounts.services import tickets
from apps.trading.consumers.requests import RequestError
from apps.trading.consumers.threads import off_loop

OWNERSHIPS_KEPT = 50_000
TOKEN_MAX_CHARS = 2048

Grant = tokens.Claims

_owned: dict[tuple[int, int], AccountRef] = {}


async def by_ticket(ticket: str) -> Grant:
    """
    Return what a ticket grants; it is used up.

    :raises NotAuthenticated: unknown, used before, too old, or revoked.
    """
    return await off_loop(tickets.redeem, ticket=ticket)


async def by_token(token: str) -> Grant:
    """
    Return what an access token grants. The socket outlives the token, not the login behind it.

    :raises NotAuthenticated: not genuine, expired or revoked.
    """
    if len(token) > TOKEN_MAX_CHARS:
        raise tokens.InvalidToken
    return (await off_loop(tokens.caller, token)).claims


async def group_of(account_id: int) -> int:
    """Return the present group of an account."""
    return (await off_loop(groups_of, [account_id]))[account_id]


def groups(account_ids: Iterable[int]) -> dict[int, int]:
    """Return the present groups of accounts. Asks the database; call it in a thread."""
    return groups_of(account_ids)


def revoked(grants: Iterable[Grant]) -> set[Grant]:
    """Return those that no longer hold. Asks the database; call it in a thread."""
    return tokens.revoked(grants)


async def account_id(grant: Grant, login: int) -> int:
    """
    Return the id of the caller's account, which stays the same and the caller's for good.

    :raises AccountNotFound: unknown, or somebody else's.
    """
    return (_owned.get((grant.user_id, login)) or await account(grant, login)).id


async def account(grant: Grant, login: int) -> AccountRef:
    """
    Return the caller's account.

    :raises AccountNotFound: unknown, or somebody else's.
    """
    found = await off_loop(owned, user_id=grant.user_id, login=login)
    if len(_owned) >= OWNERSHIPS_KEPT:
        _owned.clear()
    _owned[grant.user_id, login] = found
    return found


async def first_account(grant: Grant) -> AccountRef:
    """
    Return the caller's account with the lowest login.

    :raises RequestError: the caller has none.
    """
    found = await off_loop(accounts_of, user_id=grant.user_id)
    if not found:
        raise RequestError("no_account", "the caller has no trading account")
    return found[0]
