"""Options of a mapping as a person writes them, and lines of a preview as they are shown."""

import pytest

from apps.crm.admin.mapping_pages import lines_of
from apps.crm.forms import read_options, written_options
from apps.crm.services.previewing import Line, Preview


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ("decimals=2", {"decimals": "2"}),
        ("decimals=2; currency=EUR", {"decimals": "2", "currency": "EUR"}),
        ("verified=Yes\nnone=No;*=Other", {"verified": "Yes", "none": "No", "*": "Other"}),
        ("yes=a=b", {"yes": "a=b"}),
        ('{"a;b": "c"}', {"a;b": "c"}),
    ],
)
def test_options_are_read_as_a_person_writes_them(text, options):
    assert read_options(text) == options


@pytest.mark.parametrize("text", ["decimals", "=2", "{not json", '{"a": [1]}'])
def test_options_that_cannot_be_read_are_refused(text):
    with pytest.raises(ValueError, match=r"JSON|name=value"):
        read_options(text)


@pytest.mark.parametrize(
    "options",
    [{"decimals": "2"}, {"verified": "Yes", "*": "Other"}, {"a;b": "c"}, {"a=b": "c"}, {"a": " b "}],
)
def test_options_are_written_as_they_are_read(options):
    assert read_options(written_options(options)) == options


def line(name: str, *, is_personal: bool) -> Line:
    return Line(name, name, "push", is_personal, "ours", None, "push")


def test_a_preview_masks_what_identifies_a_person():
    found = Preview("7", (line("email", is_personal=True), line("country", is_personal=False)))

    masked = lines_of(found, shows_personal=False)
    shown = lines_of(found, shows_personal=True)

    assert [row["ours"] for row in masked] == ["••••••", "ours"]
    assert [row["ours"] for row in shown] == ["ours", "ours"]
    assert [row["theirs"] for row in masked] == ["–", "–"]
