"""
Lists the fields of a provider's objects, as it describes them now. Kept for some minutes where it may be
lost; a person may ask anew. Field names and labels only: nothing of any customer.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.core.cache import cache

from apps.crm.adapters.provider import FieldInfo, ProviderError
from apps.crm.domain.mapping import Target
from apps.crm.models import Connection, FieldMapping
from apps.crm.services import calling

KEPT_S = 600
UNCONNECTED = "The CRM's fields are listed here once the connection is active."


@dataclass(frozen=True, slots=True)
class Described:
    """An object's fields; `problem` says why there are none to be had."""

    fields: Sequence[FieldInfo]
    problem: str = ""

    @property
    def targets(self) -> dict[str, Target] | None:
        """What is known of each field; None: nothing."""
        if not self.fields:
            return None
        return {one.name: Target(one.type, one.is_read_only, tuple(one.choices)) for one in self.fields}


def object_of(connection: Connection, kind: str) -> str:
    """Return what a client or an account becomes in the CRM; empty: it is not sent."""
    is_client = kind == FieldMapping.Kind.CLIENT
    return connection.customer_object if is_client else connection.account_object


def described(connection: Connection, kind: str, *, is_fresh: bool = False) -> Described:
    """Return the fields of what a client or an account becomes. `is_fresh`: ask the provider anew."""
    name = object_of(connection, kind)
    if not name:
        return Described((), "Accounts are not sent: the connection names no object for them.")
    if not connection.is_usable:
        return Described((), UNCONNECTED)
    key = f"crm:fields:{connection.pk}:{name}"
    kept: list[dict[str, Any]] | None = None if is_fresh else cache.get(key)
    if kept is not None:
        return Described([FieldInfo(**{**one, "choices": tuple(one["choices"])}) for one in kept])
    try:
        with calling.opened(connection) as provider:
            found = sorted(provider.describe(name), key=lambda one: one.name.lower())
    except ProviderError as error:
        return Described((), f"The fields cannot be read now ({error.code}). {error}")
    cache.set(key, [asdict(one) for one in found], KEPT_S)
    return Described(found)
