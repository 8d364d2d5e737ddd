"""
Reads of clients, their reviews and documents: who of the staff reaches them, and how they are found.

A client is within reach when one of their accounts lies in a reachable group. A client without an account is
there for staff with unlimited reach and for whoever opened them. Searching compares keyed hashes of exact
texts.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import Client, KycDocument, KycReview, TradingAccount, User
from apps.accounts.permissions import may_manage
from rtx.kernel import encryption
from rtx.kernel.admin import as_id, reachable_groups
from rtx.kernel.errors import NotFound

FOUND_MAX = 200
HASHED = ("email", "phone", "last_name", "full_name", "document_number")
Reach = frozenset[int] | None


class ClientNotFound(NotFound):
    """There is no such client, or none within the caller's reach."""

    code = "client_not_found"
    title = "Client not found"


def clients_within(reach: Reach, *, user_id: int) -> QuerySet[Client]:
    """Return the clients that a member of staff reaches."""
    return Client.objects.filter(_within(reach, user_id=user_id, path="pk"))


def reviews_within(reach: Reach, *, user_id: int) -> QuerySet[KycReview]:
    """Return the reviews of clients that a member of staff reaches."""
    return KycReview.objects.filter(_within(reach, user_id=user_id, path="client_id"))


def documents_within(reach: Reach, *, user_id: int) -> QuerySet[KycDocument]:
    """Return the documents of clients that a member of staff reaches."""
    return KycDocument.objects.filter(_within(reach, user_id=user_id, path="client_id"))


def users_within(reach: Reach, *, person: User) -> Q:
    """
    Return the condition of the users that a member of staff reaches: traders by their accounts, staff of the
    roles that are theirs to manage, and themselves.
    """
    if reach is None:
        return Q()
    traders = clients_within(reach, user_id=person.pk).order_by().values("user_id")
    below = [role for role in User.Role.values if may_manage(person.role, role)]
    return Q(pk=person.pk) | Q(is_staff=False, pk__in=traders) | Q(is_staff=True, role__in=below)


def _within(reach: Reach, *, user_id: int, path: str) -> Q:
    """Return the condition under which the client that `path` names is within reach: two sets of ids."""
    if reach is None:
        return Q()
    held = TradingAccount.objects.filter(client=OuterRef("pk"))
    opened = Client.objects.filter(~Exists(held), opened_by=user_id).order_by().values("pk")
    return Q(**{f"{path}__in": _owners(reach)}) | Q(**{f"{path}__in": opened})


def _owners(reach: frozenset[int]) -> QuerySet[TradingAccount, Any]:
    """Return whose accounts are in these groups: read once for a list, not once for each of its rows."""
    return TradingAccount.objects.filter(group_id__in=reach).order_by().values("client_id")


def client_of(user: User, client_id: Any) -> Client:
    """
    Return a client within the reach of a member of staff.

    :raises ClientNotFound: unknown, or outside.
    """
    found = clients_within(reachable_groups(user), user_id=user.pk).filter(pk=client_id).first()
    if found is None:
        raise ClientNotFound("There is no such client.")
    return found


def matching(term: str) -> Q:
    """Return the condition for a search: a number, an account, or an exact personal text by its hash."""
    condition = Q(pk__in=[])
    for kind in HASHED:
        hashed = encryption.search_hash(kind, term)
        if hashed:
            condition |= Q(**{f"{kind}_hash": hashed})
    number = as_id(term)
    if number is not None:
        owners = TradingAccount.objects.filter(login=number).values_list("client_id", flat=True)
        condition |= Q(number=number) | Q(pk__in=list(owners))
    return condition


def accounts_shown(client_ids: Iterable[Any], reach: Reach) -> dict[Any, list[TradingAccount]]:
    """Return the accounts of clients as far as they are within reach, by login."""
    held = TradingAccount.objects.filter(client_id__in=list(client_ids)).select_related("group")
    if reach is not None:
        held = held.filter(group__in=reach)
    found: dict[Any, list[TradingAccount]] = {}
    for account in held.order_by("login"):
        found.setdefault(account.client_id, []).append(account)
    return found
