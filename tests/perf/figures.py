"""One measured figure of `make bench`, as it stands in `bench.json`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """Its fixed name, the value in its unit, what it must reach, and how it was measured."""

    name: str
    value: float
    unit: str
    target: str
    ok: bool
    detail: str = ""
