"""
A row of any table, made of plain values: for tests that only need one to be there. Nothing it holds means
anything; money and orders are made by services elsewhere.
"""

from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

from django.db import models

from rtx.kernel import clock

_numbers = count(1)


def make(model: type[models.Model], known: Mapping[type[models.Model], models.Model], **given: Any) -> Any:
    """
    Insert a row with a value in every column that needs one, `given` ones as they are; `known` rows are used
    for foreign keys, other rows referred to are made as well.
    """
    values = {
        field.attname if isinstance(field, models.ForeignKey) else field.name: _value(field, known)
        for field in model._meta.concrete_fields
        if _is_needed(field) and field.name not in given
    }
    return model._default_manager.create(**values, **given)


def _is_needed(field: Any) -> bool:
    if (
        isinstance(field, models.AutoField)
        or field.has_default()
        or field.has_db_default()
        or field.generated
    ):
        return False
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return False
    if isinstance(field, models.ForeignKey):
        return not field.null or field.related_model._meta.label in {"groups.TradingGroup"}
    return not field.null and not (field.blank and field.empty_strings_allowed)


def _value(field: Any, known: Mapping[type[models.Model], models.Model]) -> Any:
    if isinstance(field, models.ForeignKey):
        row = known.get(field.related_model)
        if row is None:
            row = field.related_model._default_manager.first() or make(field.related_model, known)
        return row.pk
    if field.choices:
        return next(value for value, _label in field.flatchoices if value != "")
    for kind, value in VALUES:
        if isinstance(field, kind):
            return value() if callable(value) else value
    raise LookupError(f"no plain value for {field}")


VALUES: tuple[tuple[Any, Any], ...] = (
    (models.DateTimeField, clock.now),
    (models.DateField, date(2026, 5, 8)),
    (models.TimeField, time(12)),
    (models.UUIDField, uuid4),
    (models.BooleanField, False),
    (models.DecimalField, Decimal(1)),
    (models.IntegerField, lambda: next(_numbers)),
    (models.FloatField, 1),
    (models.JSONField, dict),
    (models.BinaryField, b"1"),
    (models.GenericIPAddressField, "192.0.2.1"),
    (models.EmailField, lambda: f"{uuid4().hex[:12]}@example.com"),
    ((models.CharField, models.TextField), lambda: uuid4().hex[:8]),
)
