"""
Puts configuration back to what it was after one of its versions: a change like any other, checked like any
other, never a rewrite of history. Keeps no versions itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction

from apps.market.models import ConfigurationChange
from apps.market.selectors import history
from apps.market.selectors.versions import Difference, Parts, differences, key_column, values_of
from rtx.kernel.errors import Conflict, NotFound

Saver = Callable[[Any], None]


class VersionNotFound(NotFound):
    """This configuration has no such version."""

    code = "version_not_found"
    title = "Version not found"


class RestoreRefused(Conflict):
    """What was then does not fit what is now."""

    code = "restore_refused"
    title = "Cannot be restored"


@dataclass(frozen=True, slots=True)
class Step:
    """What a restore does to one row: `now` (None: it is made again) becomes `then` (None: it is deleted)."""

    now: Any
    then: Any

    @property
    def label(self) -> str:
        """Name the row."""
        row = self.now if self.now is not None else self.then
        return f"{row._meta.verbose_name} {row}"

    @property
    def deed(self) -> str:
        """Say what happens to it."""
        return "added" if self.now is None else "deleted" if self.then is None else "changed"

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What changes in it."""
        if self.now is None or self.then is None:
            return ()
        return differences(type(self.now), values_of(self.now), values_of(self.then))

    @property
    def has_effect(self) -> bool:
        """Whether there is anything to do: what must not be saved yet may have been taken out of it."""
        return self.now is None or self.then is None or bool(self.differences)


def steps_to(row: models.Model, *, parts: Parts, change_id: int) -> list[Step]:
    """
    Return what has to change so that a row and what belongs to it are as they were after a change.

    :raises VersionNotFound: there was no such change.
    :raises RestoreRefused: the row was not there then.
    """
    if not ConfigurationChange.objects.filter(pk=change_id).exists():
        raise VersionNotFound
    found = _steps(type(row), key_column(type(row), "id"), row.pk, change_id)
    if any(step.then is None for step in found):
        raise RestoreRefused("It did not exist then.")
    for model, link in parts:
        found += _steps(model, key_column(model, link), row.pk, change_id)
    return found


def _steps(model: type[models.Model], column: str, key: int, change_id: int) -> list[Step]:
    found = history.rows_after_change(model, change_id=change_id, column=column, value=key)
    then = {row.pk: row for row in found}
    now = {row.pk: row for row in model._default_manager.filter(**{column: key})}
    return [
        Step(now.get(key), then.get(key))
        for key in sorted({*now, *then})
        if key not in now or key not in then or values_of(now[key]) != values_of(then[key])
    ]


def restore(
    row: models.Model, *, parts: Parts, change_id: int, save: Saver = lambda row: row.save()
) -> list[Step]:
    """
    Put a row and what belongs to it back, within the caller's change of terms; return what was changed.
    `save` saves the row itself, and may leave as it is now what must not be written yet.

    :raises VersionNotFound: there was no such change.
    :raises RestoreRefused: nothing would change, or it is no longer possible; the reason is named.
    """
    steps = steps_to(row, parts=parts, change_id=change_id)
    if not steps:
        raise RestoreRefused("It is as it was then: nothing would change.")
    try:
        with transaction.atomic():
            for step in sorted(steps, key=lambda step: (step.then is not None, step.now is None)):
                _take(step, save if isinstance(step.now, type(row)) else None)
    except ValidationError as error:
        raise RestoreRefused(f"It no longer fits. {_told(error)}") from None
    except (IntegrityError, models.ProtectedError):
        raise RestoreRefused("It no longer fits: the database refuses it.") from None
    return [step for step in steps if step.has_effect]


def _take(step: Step, save: Saver | None) -> None:
    if step.then is None:
        step.now.delete()
        return
    step.then.full_clean()
    if step.now is None:
        step.then.save(force_insert=True)
    elif save is not None:
        save(step.then)
    else:
        step.then.save()


def _told(error: ValidationError) -> str:
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        f"{'' if name == NON_FIELD_ERRORS else name.replace('_', ' ') + ': '}{' '.join(found)}"
        for name, found in error.message_dict.items()
    )
