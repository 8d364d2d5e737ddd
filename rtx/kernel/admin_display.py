"""How admin pages write numbers, states, instants and links. Returns safe HTML; decides nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from rtx.kernel import money

EMPTY = "–"
MASK = "••••••"
TONES = frozenset({"good", "bad", "warn", "info", "muted"})


def grouped(text: str) -> str:
    """Return a plain decimal text with thin spaces between its thousands: 1234567.5 -> 1 234 567.5."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, rest = digits.partition(".")
    return f"{sign}{int(whole):,}".replace(",", "\u202f") + point + rest


def percent(value: Decimal) -> str:
    """Return a percentage with two decimals: 1234.5 -> 1 234.50 %."""
    return f"{grouped(f'{value:.2f}')} %"


def number(value: Decimal | None) -> SafeString:
    """Write a quantity or a price: every decimal it has, aligned right."""
    shown = EMPTY if value is None else money.plain(value)
    return format_html('<span class="rtx-num">{}</span>', shown)


def price(value: Decimal | None, digits: int) -> SafeString:
    """Write a price with the symbol's decimals."""
    shown = EMPTY if value is None else money.text(money.rounded(value, digits))
    return format_html('<span class="rtx-num">{}</span>', shown)


def amount(value: Decimal | None, currency: str, *, signed: bool = False) -> SafeString:
    """Write an amount with its currency's decimals; `signed` colors gain and loss."""
    if value is None:
        return format_html('<span class="rtx-num">{}</span>', EMPTY)
    shown = grouped(money.text(money.booked(value, currency)))
    tone = ("rtx-gain" if value > 0 else "rtx-loss") if signed and value else ""
    return format_html(
        '<span class="rtx-num {}">{} <span class="rtx-unit">{}</span></span>', tone, shown, currency
    )


def badge(text: Any, tone: str = "muted") -> SafeString:
    """Write a state as a small colored label."""
    if tone not in TONES:
        raise ValueError(f"{tone} is not a tone")
    return format_html('<span class="rtx-badge rtx-badge-{}">{}</span>', tone, text)


def link(target: Any, text: Any = None) -> SafeString:
    """Write a link to the page of a row, or the text alone when there is no such page."""
    if target is None:
        return format_html("{}", EMPTY)
    meta = target._meta
    return link_to(f"admin:{meta.app_label}_{meta.model_name}_change", target.pk, text or str(target))


def link_to(name: str, key: Any, text: Any) -> SafeString:
    """Write a link to a named page with one key."""
    try:
        return format_html('<a class="rtx-link" href="{}">{}</a>', reverse(name, args=[key]), text)
    except NoReverseMatch:
        return format_html("{}", text)


def stored_values(value: Any) -> SafeString:
    """Write what was stored as JSON as a table for people: one row per value, by the path of its names."""
    rows = format_html_join("", "<tr><td>{}</td><td>{}</td></tr>", _flat(value))
    return format_html(
        '<div class="rtx-scroll"><table class="rtx-table rtx-table-small rtx-told">{}</table></div>', rows
    )


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for place, inner in enumerate(value, start=1):
            yield from _flat(inner, f"{path} {place}".strip())
    elif isinstance(value, list):
        yield path, ", ".join(plain_text(one) for one in value) or EMPTY
    else:
        yield path, EMPTY if value == {} else plain_text(value)


def browser(agent: str) -> str:
    """Name browser and system of a User-Agent; what it does not know is told as it came."""
    programs = {
        "Edg/": "Edge",
        "OPR/": "Opera",
        "Firefox/": "Firefox",
        "Chrome/": "Chrome",
        "Safari/": "Safari",
    }
    systems = {"Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad"}
    systems |= {"Mac OS X": "macOS", "Linux": "Linux"}
    program = next((name for mark, name in programs.items() if mark in agent), "")
    system = next((name for mark, name in systems.items() if mark in agent), "")
    return " on ".join(name for name in (program, system) if name) or agent[:60] or "unknown browser"


def plain_text(value: Any) -> str:
    """Write one stored value in words: nothing is a dash, a truth is yes or no."""
    if value is None or value == "":
        return EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def instant(value: datetime | None) -> SafeString:
    """Write an instant in UTC to the second, with its milliseconds when hovered."""
    if value is None:
        return format_html("{}", EMPTY)
    utc = value.astimezone(UTC)
    return format_html(
        '<time class="rtx-time" datetime="{}" title="{}">{}</time>',
        utc.isoformat(),
        utc.strftime("%Y-%m-%d %H:%M:%S.%f UTC"),
        utc.strftime("%Y-%m-%d %H:%M:%S"),
    )
