"""
What JSON allows and a request must not have: a name twice in one object. Pure.

Of two values for one name a reader would take either; what a caller meant cannot be known, so it is refused.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

COLON = b":"


class DuplicateName(ValueError):
    """An object names something twice."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _exact(text: str) -> Decimal:
    """
    Return a number as it stands.

    :raises ValueError: its exponent is beyond what a Decimal holds; the decoder makes a DecodeError of it.
    """
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError("number out of range") from error


_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=_exact)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise DuplicateName(next(name for name in names if names.count(name) > 1))
    return found


def _names(value: Any) -> int:
    """Count the names in a decoded value."""
    if isinstance(value, dict):
        return len(value) + sum(map(_names, value.values()))
    return sum(map(_names, value)) if isinstance(value, list) else 0


def decoded(text: bytes) -> Any:
    """
    Decode JSON in which no object has a name twice; numbers with a point or an exponent become Decimals.

    A document with as many colons as names has none twice, which spares nearly all requests a second parse.

    :raises DuplicateName: it has.
    :raises msgspec.DecodeError: it is no JSON.
    """
    found = _decoder.decode(text)
    if text.count(COLON) > _names(found):
        json.loads(text, object_pairs_hook=_unique, parse_int=str, parse_float=str)
    return found
