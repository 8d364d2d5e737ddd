"""Database fields shared by the apps. No model lives here."""

from typing import Any

from django.db import models


class ExactDecimalField(models.DecimalField):  # type: ignore[type-arg]
    """
    A PostgreSQL `numeric` that keeps a value's own number of decimals; the declared digits bound form input.
    """

    def __init__(self, *args: Any, max_digits: int = 28, decimal_places: int = 12, **kwargs: Any) -> None:
        kwargs |= {"max_digits": max_digits, "decimal_places": decimal_places}
        super().__init__(*args, **kwargs)

    def db_type(self, connection: Any) -> str:
        """Return the column type: numeric without a forced scale."""
        return "numeric"

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """Hand the Decimal over unrounded."""
        if hasattr(value, "as_sql"):
            return value
        return self.to_python(value)


class TransactionIdField(models.Field):  # type: ignore[type-arg]
    """
    The writing transaction's id (`xid8`), so that readers can stop at the oldest transaction still running.
    """

    def db_type(self, connection: Any) -> str:
        """Return the column type."""
        return "xid8"
