"""What pages make of stored values: words for people, not the notation of a language."""

from decimal import Decimal

import pytest

from rtx.kernel.admin_display import browser, grouped, percent, stored_values

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537"
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1 Version/19.0 Safari/604.1"


def test_stored_values_are_told_row_by_row() -> None:
    stored = {
        "mode": "forex",
        "schedule": {"is_pooled": True, "bands": [["100", None], ["200", "50"]]},
        "of": {},
    }

    told = stored_values(stored)

    assert told.count("<tr>") == 5
    for name, value in (
        ("mode", "forex"),
        ("schedule.is_pooled", "yes"),
        ("schedule.bands 1", "100, –"),
        ("schedule.bands 2", "200, 50"),
        ("of", "–"),
    ):
        assert f"<tr><td>{name}</td><td>{value}</td></tr>" in told


def test_what_is_stored_cannot_write_markup() -> None:
    assert "&lt;b&gt;" in stored_values({"comment": "<b>"})


@pytest.mark.parametrize(
    ("plain", "shown"),
    [("0", "0"), ("999", "999"), ("1000", "1\u202f000"), ("-1234567.5", "-1\u202f234\u202f567.5")],
)
def test_thousands_are_parted_by_thin_spaces(plain: str, shown: str) -> None:
    assert grouped(plain) == shown


def test_a_percentage_has_two_decimals() -> None:
    assert percent(Decimal("10000000.005")) == "10\u202f000\u202f000.00 %"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (CHROME, "Chrome on Linux"),
        (EDGE, "Edge on Windows"),
        (SAFARI, "Safari on iPhone"),
        ("curl/8.5", "curl/8.5"),
        ("", "unknown browser"),
    ],
)
def test_a_browser_has_a_name(agent: str, name: str) -> None:
    assert browser(agent) == name
