"""Writing the roles of `permissions.py` into the database: one permission set per role, as in code."""

from dataclasses import dataclass, field

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from apps.accounts.permissions import ROLE_GROUP, ROLE_RIGHTS, rights_of, unknown_rights


@dataclass(frozen=True, slots=True)
class Difference:
    """What one role's set lacks and has too many; `strangers` are members: a set is held by nobody."""

    role: str
    missing: list[str] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)
    strangers: int = 0

    def __bool__(self) -> bool:
        return bool(self.missing or self.surplus or self.strangers)


def sync(*, dry_run: bool = False) -> list[Difference]:
    """
    Make every role's permission set what the code says; return what differed. Safe to repeat.

    With `dry_run` nothing is written.
    """
    with transaction.atomic():
        known = {
            f"{app}.{code}": pk
            for pk, app, code in Permission.objects.values_list("pk", "content_type__app_label", "codename")
        }
        return [_sync_role(role, known, dry_run=dry_run) for role in ROLE_RIGHTS]


def unknown() -> list[str]:
    """Return the rights that the code names and the database does not know."""
    rows = Permission.objects.values_list("content_type__app_label", "codename")
    return unknown_rights(f"{app}.{code}" for app, code in rows)


def _sync_role(role: str, known: dict[str, int], *, dry_run: bool) -> Difference:
    name = f"{ROLE_GROUP}{role}"
    group = Group.objects.filter(name=name).first()
    names = {pk: right for right, pk in known.items()}
    held = set() if group is None else {names[pk] for pk in group.permissions.values_list("pk", flat=True)}
    wanted = rights_of(role, known)
    members = 0 if group is None else group.user_set.count()
    found = Difference(role, sorted(wanted - held), sorted(held - wanted), members)
    if not dry_run and (found or group is None):
        group = group or Group.objects.create(name=name)
        group.permissions.set(known[right] for right in wanted)
        group.user_set.clear()
    return found
