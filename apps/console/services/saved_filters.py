"""Keeping and dropping the filters of lists. Whose list it is and who may share is the caller's to check."""

from typing import Any
from urllib.parse import parse_qsl, urlencode

from apps.console.models import SavedFilter
from rtx.kernel import clock
from rtx.kernel.errors import Conflict, Invalid

KEPT_MAX = 100  # of one person
NOT_KEPT = frozenset({"q", "p", "e", "_popup", "_to_field", "_changelist_filters"})
NAME_MAX_CHARS = 40
QUERY_MAX_CHARS = 1000


class FilterExists(Conflict):
    """The person has a filter of this name for this list."""

    code = "filter_exists"
    title = "Name used before"


def cleaned(query: str) -> str:
    """Return what is kept of a list's address: filters and order; no search, which may name a person."""
    kept = [(name, value) for name, value in parse_qsl(query.lstrip("?")) if name not in NOT_KEPT]
    return urlencode(sorted(kept))


def keep(*, owner: Any, page: str, name: str, query: str, shared_with: str = "") -> SavedFilter:
    """
    Keep a filter under a name.

    :raises Invalid: no name, nothing to keep, too long, or too many.
    :raises FilterExists: the name is taken.
    """
    name, query = " ".join(name.split()), cleaned(query)
    if not name or len(name) > NAME_MAX_CHARS:
        raise Invalid(f"A name of up to {NAME_MAX_CHARS} characters is needed.")
    if not query or len(query) > QUERY_MAX_CHARS:
        raise Invalid("There is no filter and no order to keep; searches are not kept.")
    if SavedFilter.objects.filter(owner=owner).count() >= KEPT_MAX:
        raise Invalid(f"At most {KEPT_MAX} filters are kept for one person.")
    row, is_new = SavedFilter.objects.get_or_create(
        owner=owner,
        page=page,
        name=name,
        defaults={"query": query, "shared_with": shared_with, "created_at": clock.now()},
    )
    if not is_new:
        raise FilterExists(f"You have a filter called {name} for this list.")
    return row


def drop(*, owner: Any, filter_id: int) -> bool:
    """Drop one of a person's own filters; False: they have none of that number."""
    deleted, _ = SavedFilter.objects.filter(owner=owner, pk=filter_id).delete()
    return bool(deleted)
