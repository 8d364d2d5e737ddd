"""
The catalog of typed transformations between a value of RTX and the text that a CRM holds. Pure and total:
what does not fit raises `Unfit`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from apps.crm.domain import texts
from apps.crm.domain.fields import FieldType, Value
from apps.crm.domain.texts import Options, Unfit

DECIMALS_MAX = 10


@dataclass(frozen=True, slots=True)
class Option:
    """What a transformation may or must be told. `kind` is how a person enters it."""

    name: str
    label: str
    kind: str = "text"  # text, number or pairs
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Transform:
    """One transformation. `inward` is None where nothing can be read back."""

    name: str
    label: str
    takes: frozenset[FieldType]
    outward: Callable[[Value, Options], str | None]
    inward: Callable[[str, Options], str] | None = None
    options: tuple[Option, ...] = ()
    same_as: Callable[[str], object] = str.strip
    crm_types: frozenset[str] = frozenset({"text", "choice", "email", "phone"})


ANY: frozenset[FieldType] = frozenset({"text", "number", "money", "date", "datetime"})
TEXT: frozenset[FieldType] = frozenset({"text"})
_TIMES: frozenset[FieldType] = frozenset({"date", "datetime", "text"})
_NUMBERS: frozenset[FieldType] = frozenset({"number", "money"})
_DEFAULTS = Option("prefix", "Calling code where the number has none, such as 49")

TRANSFORMS: Mapping[str, Transform] = {
    transform.name: transform
    for transform in (
        Transform("text", "As text", ANY, texts.as_text, texts.read_text),
        Transform("upper", "In capitals", TEXT, texts.as_upper, texts.read_text),
        Transform("lower", "In small letters", TEXT, texts.as_lower, texts.read_text),
        Transform(
            "truncate",
            "Cut off",
            TEXT,
            texts.as_cut,
            options=(Option("length", "Characters at most", "number", is_required=True),),
        ),
        Transform(
            "number",
            "As number",
            _NUMBERS,
            texts.as_number,
            options=(
                Option("decimals", "Decimals", "number"),
                Option("currency", "Currency, of a balance with several"),
            ),
            same_as=texts.number_meant,
            crm_types=frozenset({"number", "text"}),
        ),
        Transform(
            "date",
            "As date",
            _TIMES,
            texts.as_date,
            same_as=texts.date_meant,
            crm_types=frozenset({"date", "text"}),
        ),
        Transform(
            "datetime",
            "As date and time",
            _TIMES,
            texts.as_datetime,
            same_as=texts.moment_meant,
            crm_types=frozenset({"datetime", "text"}),
        ),
        Transform(
            "epoch_ms",
            "As milliseconds since 1970",
            _TIMES,
            texts.as_epoch_ms,
            same_as=texts.moment_meant,
            crm_types=frozenset({"datetime", "date", "number", "text"}),
        ),
        Transform(
            "yes_no",
            "As yes or no",
            ANY,
            texts.as_yes_no,
            options=(
                Option("is", "Yes where the value is this; empty: where there is a value"),
                Option("yes", "Yes is written as (true)"),
                Option("no", "No is written as (false)"),
            ),
            same_as=texts.flag_meant,
            crm_types=frozenset({"boolean", "choice", "text"}),
        ),
        Transform(
            "map",
            "By a table",
            TEXT,
            texts.as_mapped,
            texts.read_mapped,
            options=(Option("*", "Pairs of values", "pairs", True),),
        ),
        Transform("country_name", "Country's name", TEXT, texts.as_country_name, texts.read_country),
        Transform("country_code", "Country's code", TEXT, texts.as_country_code, texts.read_country),
        Transform(
            "phone",
            "International phone number",
            TEXT,
            texts.as_phone,
            texts.read_phone,
            options=(_DEFAULTS,),
        ),
        Transform(
            "constant",
            "Always the same",
            ANY,
            texts.as_constant,
            options=(Option("value", "Text", is_required=True),),
            crm_types=frozenset({"text", "choice", "number", "boolean", "date", "datetime"}),
        ),
    )
}


def is_same(transform: str, one: str | None, other: str | None) -> bool:
    """Tell whether two texts of a CRM mean the same value: 100 and 100.00, one instant written twice."""
    if not one or not other:
        return not one and not other
    if one == other:
        return True
    same_as = TRANSFORMS[transform].same_as
    try:
        return same_as(one) == same_as(other)
    except (Unfit, ArithmeticError):
        return False


def outward(transform: str, value: Value, options: Options) -> str | None:
    """
    Return the text that a CRM is to hold for a value; None: nothing.

    :raises Unfit: the value does not fit.
    """
    try:
        return TRANSFORMS[transform].outward(value, options)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise Unfit("does not fit the transformation") from error


def inward(transform: str, text: str | None, options: Options) -> str:
    """
    Return the value that a CRM's text means here; empty for nothing.

    :raises Unfit: the text does not fit, or nothing can be read back.
    """
    read = TRANSFORMS[transform].inward
    if read is None:
        raise Unfit("cannot be read back")
    try:
        return read(text, options) if text and text.strip() else ""
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise Unfit("does not fit the transformation") from error
