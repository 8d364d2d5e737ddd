"""
Single values as the text that a CRM holds, and back. Pure and total: what does not fit raises `Unfit`, which
names the reason and never the value. Which of them is used where is said in `transforms`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from apps.crm.domain import countries
from apps.crm.domain.fields import Value
from rtx.kernel import money

Options = Mapping[str, Any]
TEXT_MAX = 5000
_NOTHING: Options = {}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_DIALED = re.compile(r"[\s().\-/]")


class Unfit(Exception):
    """A value that a transformation cannot take; the text says why, not what."""


def as_text(value: Value, options: Options = _NOTHING) -> str | None:
    """Return any value as text; None where there is nothing."""
    match value:
        case None | "":
            return None
        case str():
            shown = value.strip()
        case datetime():
            shown = _instant(value)
        case date():
            shown = value.isoformat()
        case Decimal():
            shown = money.text(value)
        case Mapping():
            parts = (f"{money.text(amount)} {currency}" for currency, amount in sorted(value.items()))
            shown = ", ".join(parts)
        case _:
            shown = str(value)
    if len(shown) > TEXT_MAX:
        raise Unfit("is too long")
    return shown or None


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_upper(value: Value, options: Options) -> str | None:
    """Return a text in capitals."""
    shown = as_text(value)
    return shown.upper() if shown else None


def as_lower(value: Value, options: Options) -> str | None:
    """Return a text in small letters."""
    shown = as_text(value)
    return shown.lower() if shown else None


def as_cut(value: Value, options: Options) -> str | None:
    """Return the first `length` characters of a text."""
    shown = as_text(value)
    return (shown[: int(options["length"])].strip() or None) if shown else None


def as_number(value: Value, options: Options) -> str | None:
    """Return a number, or an amount of money of one currency, as plain digits."""
    given = _amount(value, str(options.get("currency") or ""))
    if given is None:
        return None
    if not given.is_finite():
        raise Unfit("is no number")
    decimals = options.get("decimals")
    if decimals is None or decimals == "":
        return money.plain(given)
    return money.text(given.quantize(money.quantum(int(decimals)), rounding=ROUND_HALF_UP))


def _amount(value: Value, currency: str) -> Decimal | None:
    match value:
        case None | "":
            return None
        case Mapping():
            if currency:
                return value.get(currency, money.ZERO)
            if len(value) > 1:
                raise Unfit("has several currencies: choose one")
            return next(iter(value.values()), money.ZERO)
        case Decimal():
            return value
        case bool():
            raise Unfit("is no number")
        case int():
            return Decimal(value)
        case str():
            return _decimal(value)
        case _:
            raise Unfit("is no number")


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text.strip().replace(",", ""))
    except InvalidOperation as error:
        raise Unfit("is no number") from error


def as_date(value: Value, options: Options) -> str | None:
    """Return a day as ISO 8601."""
    match value:
        case None | "":
            return None
        case datetime():
            return value.astimezone(UTC).date().isoformat()
        case date():
            return value.isoformat()
        case str():
            return date_meant(value).isoformat()
        case _:
            raise Unfit("is no date")


def as_datetime(value: Value, options: Options) -> str | None:
    """Return an instant as ISO 8601 in UTC with milliseconds."""
    found = _moment(value)
    return _instant(found) if found else None


def as_epoch_ms(value: Value, options: Options) -> str | None:
    """Return an instant as milliseconds since 1970."""
    found = _moment(value)
    return str((found - EPOCH) // timedelta(milliseconds=1)) if found else None


def _moment(value: Value) -> datetime | None:
    match value:
        case None | "":
            return None
        case datetime():
            return value
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        case str():
            return moment_meant(value)
        case _:
            raise Unfit("is no instant")


def moment_meant(text: str) -> datetime:
    """Return the instant that a text means; without an offset it is UTC."""
    given = text.strip()
    try:
        if given.lstrip("-").isdigit():
            return EPOCH + timedelta(milliseconds=int(given))
        read = datetime.fromisoformat(given)
    except (ValueError, OverflowError) as error:
        raise Unfit("is no instant") from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def date_meant(text: str) -> date:
    """Return the day that a text means."""
    return moment_meant(text).astimezone(UTC).date()


def as_yes_no(value: Value, options: Options) -> str | None:
    """Return whether there is a value, or whether it is the one asked for."""
    match value:
        case Mapping():
            is_true = any(value.values())
        case Decimal() | int():
            is_true = bool(value)
        case str():
            is_true = value.strip().lower() not in ("", "0", "no", "none", "false")
        case _:
            is_true = value is not None
    wanted = str(options.get("is") or "")
    if wanted:
        is_true = as_text(value) == wanted
    return str(options.get("yes") or "true") if is_true else str(options.get("no") or "false")


def as_mapped(value: Value, options: Options) -> str | None:
    """Return what a table has for a value; `*` stands for all others."""
    shown = as_text(value)
    if shown is None:
        return None
    if shown not in options and "*" not in options:
        raise Unfit("has no entry in the map")
    return str(options.get(shown, options.get("*", ""))) or None


def read_mapped(text: str, options: Options) -> str:
    """Return the one value that a table has this text for."""
    found = [kept for kept, shown in options.items() if str(shown) == text.strip() and kept != "*"]
    if len(found) != 1:
        raise Unfit("has no entry in the map")
    return found[0]


def as_country_name(value: Value, options: Options) -> str | None:
    """Return a country's English name."""
    shown = as_text(value)
    if shown is None:
        return None
    found = countries.code_of(shown)
    if found is None:
        raise Unfit("is no country")
    return countries.NAMES[found]


def as_country_code(value: Value, options: Options) -> str | None:
    """Return a country's code."""
    shown = as_text(value)
    return read_country(shown, options) if shown else None


def read_country(text: str, options: Options) -> str:
    """Return the code of a country that a CRM names."""
    found = countries.code_of(text)
    if found is None:
        raise Unfit("is no country")
    return found


def as_phone(value: Value, options: Options) -> str | None:
    """Return an international phone number (E.164)."""
    shown = as_text(value)
    return read_phone(shown, options) if shown else None


def read_phone(text: str, options: Options) -> str:
    """Return the international form (E.164) of a phone number as people write it."""
    dialed = _DIALED.sub("", text)
    prefix = str(options.get("prefix") or "").lstrip("+")
    if dialed.startswith("00"):
        dialed = f"+{dialed[2:]}"
    elif prefix and not dialed.startswith("+"):
        dialed = f"+{prefix}{dialed.removeprefix('0')}"
    if not _E164.fullmatch(dialed):
        raise Unfit("is no international phone number")
    return dialed


def as_constant(value: Value, options: Options) -> str | None:
    """Return the text that was chosen."""
    return str(options["value"])


def read_text(text: str, options: Options) -> str:
    """Return a text as it was written, without the space around it."""
    given = text.strip()
    if len(given) > TEXT_MAX:
        raise Unfit("is too long")
    return given


def number_meant(text: str) -> object:
    """Return what a text means as a number."""
    return _decimal(text).normalize()


def flag_meant(text: str) -> object:
    """Return what a text means as yes or no."""
    return text.strip().lower()
