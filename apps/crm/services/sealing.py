"""
Seals the secrets of crm anew after a new master key was put first: client secrets, tokens, verifiers, bodies
of webhooks. Safe to repeat and to stop. What is sealed by clients' own keys follows those.
"""

from collections.abc import Callable, Iterator
from typing import Any

from django.db import models, transaction

from apps.crm.models import Connection, OAuthState, OAuthToken, WebhookDelivery
from rtx.kernel import encryption

BATCH = 200
COLUMNS: dict[type[models.Model], tuple[str, ...]] = {
    Connection: ("client_secret", "webhook_secret"),
    OAuthToken: ("access_token", "refresh_token"),
    OAuthState: ("verifier",),
}


def rewrap() -> int:
    """Seal every secret by the newest master key; return how many rows were sealed anew."""
    changed = sum(
        _resealed(model, _by_property(columns), [f"{name}_sealed" for name in columns])
        for model, columns in COLUMNS.items()
    )
    return changed + _resealed(WebhookDelivery, lambda row: row.seal(row.body()), ["body_sealed"])


def _by_property(columns: tuple[str, ...]) -> Callable[[Any], None]:
    def reseal(row: Any) -> None:
        for name in columns:
            setattr(row, name, getattr(row, name))

    return reseal


def _resealed(model: Any, reseal: Callable[[Any], None], columns: list[str]) -> int:
    """Work through a table in batches under short locks, in the order of its key."""
    ring, changed = encryption.master_keys(), 0
    for first, last in _ranges(model):
        with transaction.atomic():
            rows = model.objects.select_for_update(no_key=True).filter(pk__gte=first, pk__lte=last)
            for row in rows.order_by("pk"):
                kept = [bytes(getattr(row, column)) for column in columns]
                if all(ring.is_newest(value) for value in kept if value):
                    continue
                reseal(row)
                model.objects.filter(pk=row.pk).update(**{name: getattr(row, name) for name in columns})
                changed += 1
    return changed


def _ranges(model: Any) -> Iterator[tuple[int, int]]:
    last = 0
    while keys := list(model.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        yield keys[0], keys[-1]
        last = keys[-1]
