"""What one row of an import may say. Pure: groups and what is taken are known above."""

import re
from dataclasses import dataclass
from datetime import date

COLUMNS = (
    "client_number",
    "email",
    "first_name",
    "last_name",
    "phone",
    "country",
    "birth_date",
    "address",
    "document_number",
    "group",
    "leverage",
)
LENGTHS = {"first_name": 80, "last_name": 80, "address": 200, "document_number": 40, "group": 40}
EMAIL = re.compile(r"[^\s@]+@[^\s@.]+(\.[^\s@.]+)+")
PHONE = re.compile(r"[+0-9][0-9 ()/.-]{4,30}")
NUMBER = re.compile(r"[0-9]{1,18}")
OLDEST_BIRTH = date(1900, 1, 1)


class RowInvalid(ValueError):
    """Why a row cannot be taken. Names the column; never repeats what stood there."""


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One row: its number in the file (the header is 1) and its cells by column."""

    number: int
    cells: dict[str, str]

    def text(self, name: str) -> str:
        """Return what stands in a column; empty when the file has none."""
        return self.cells.get(name, "")

    @property
    def email(self) -> str:
        """The address in lower case."""
        return self.text("email").lower()

    @property
    def country(self) -> str:
        """The country's code in capitals."""
        return self.text("country").upper()

    @property
    def client_number(self) -> int | None:
        """The client who shall get a further account; None: a new client."""
        return self._whole("client_number")

    @property
    def leverage(self) -> int | None:
        """The leverage; None: the group's."""
        return self._whole("leverage")

    @property
    def birth_date(self) -> date | None:
        """The date of birth."""
        given = self.text("birth_date")
        try:
            return date.fromisoformat(given[:10]) if given else None
        except ValueError:
            raise RowInvalid("birth_date: has the form 1990-12-31") from None

    def _whole(self, name: str) -> int | None:
        given = self.text(name)
        if given and not NUMBER.fullmatch(given):
            raise RowInvalid(f"{name}: is a whole number")
        return int(given) if given else None

    def check(self, *, today: date) -> None:
        """
        Say whether the row can be taken, as far as it tells by itself.

        :raises RowInvalid: names the first column that is wrong.
        """
        for name, longest in LENGTHS.items():
            if len(self.text(name)) > longest:
                raise RowInvalid(f"{name}: has at most {longest} characters")
        if self.client_number is None:
            self._check_person(today)
        elif any(self.text(name) for name in COLUMNS[1:9]):
            raise RowInvalid("client_number: a known client's row names no personal data")
        self._whole("leverage")
        if not self.text("group"):
            raise RowInvalid("group: is needed")

    def _check_person(self, today: date) -> None:
        if not EMAIL.fullmatch(self.email) or len(self.email) > 254:
            raise RowInvalid("email: is needed and must be an address")
        for name in ("first_name", "last_name"):
            if not self.text(name):
                raise RowInvalid(f"{name}: is needed")
        country, phone, born = self.country, self.text("phone"), self.birth_date
        if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
            raise RowInvalid("country: two letters, such as DE")
        if phone and not PHONE.fullmatch(phone):
            raise RowInvalid("phone: digits, spaces and + at the beginning")
        if born is not None and not OLDEST_BIRTH <= born <= today:
            raise RowInvalid("birth_date: is not a date of birth")
