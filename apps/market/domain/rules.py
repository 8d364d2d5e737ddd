"""
What fits together in a symbol's values, and in those that a group sets for it: messages by field. Pure; rows
are read by their attributes only.
"""

from typing import Any

DIGITS_MAX = 10
CURRENCIES = ("base_currency", "profit_currency", "margin_currency")
NOT_NEGATIVE = ("margin_initial", "tick_size", "tick_price", "hedged_contract_size")
FIXED_ONCE_TRADED = (
    *CURRENCIES,
    "digits",
    "contract_size",
    "margin_mode",
    "tick_size",
    "tick_price",
)
TRADED = "This symbol has been traded: create a new one and close this one."
Errors = dict[str, list[str]]


def symbol_errors(row: Any) -> Errors:
    """Return what does not fit in a symbol by itself."""
    errors: Errors = {}
    for name in CURRENCIES:
        if getattr(row, name) != getattr(row, name).upper():
            _add(errors, name, "Currencies are written in capitals.")
    if row.digits is not None and row.digits > DIGITS_MAX:
        _add(errors, "digits", f"At most {DIGITS_MAX} decimals.")
    _check_volumes(row, errors)
    if row.margin_mode == "fixed" and not row.margin_initial:
        _add(errors, "margin_initial", "Fixed margin needs an amount per lot.")
    if row.margin_mode == "index":
        for name in ("tick_size", "tick_price"):
            if not getattr(row, name):
                _add(errors, name, "Index margin needs a tick size and a tick price.")
    for name in NOT_NEGATIVE:
        if (getattr(row, name) or 0) < 0:
            _add(errors, name, "Must not be negative.")
    if row.spike_max_pct is not None and row.spike_max_pct <= 0:
        _add(errors, "spike_max_pct", "Must be above zero, or every tick would be refused.")
    check_swap(row, errors)
    return errors


def contract_changes(row: Any, saved: Any) -> list[str]:
    """Return which values differ that profit and margin of what is open depend on."""
    return [name for name in FIXED_ONCE_TRADED if getattr(row, name) != getattr(saved, name)]


def check_swap(row: Any, errors: Errors) -> None:
    """Refuse swap values that nothing would charge."""
    if row.swap_mode == "none":
        for name in ("swap_long", "swap_short"):
            if getattr(row, name):
                _add(errors, name, "Choose what the swap means, or leave this at zero.")


def _check_volumes(row: Any, errors: Errors) -> None:
    lowest, highest, step = row.volume_min, row.volume_max, row.volume_step
    if lowest is not None and highest is not None and highest < lowest:
        _add(errors, "volume_max", "The largest volume is below the smallest.")
    for name, volume in (("volume_min", lowest), ("volume_max", highest)):
        if volume is not None and step and volume % step:
            _add(errors, name, f"Not a multiple of the step {step:f}.")


def _add(errors: Errors, name: str, message: str) -> None:
    errors.setdefault(name, []).append(message)
