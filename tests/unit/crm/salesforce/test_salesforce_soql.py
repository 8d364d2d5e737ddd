"""SOQL that cannot be broken out of, ids, instants and values as text."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.crm.adapters import salesforce_soql as soql
from apps.crm.adapters.provider import CallRefused, Forbidden
from tests.fakes import salesforce_query

TEXTS = st.text(
    st.characters(exclude_characters=[chr(code) for code in range(32) if chr(code) not in "\n\r\t\b\f"])
)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_no_text_leaves_its_quotes(text: str) -> None:
    query = soql.select("Contact", ["Id"], where=f"Email = {soql.quoted(text)} AND Phone = null")

    read = salesforce_query.read(query)

    assert read.fields == {"Id", "Email", "Phone"}
    assert (
        read.condition({"Email": text, "Phone": None}) or "T" in text
    )  # texts like instants compare as such
    assert not read.condition({"Email": text + "x", "Phone": None})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("O'Neil", r"'O\'Neil'"),
        ("\\", r"'\\'"),
        ("\\' OR Id != null --", r"'\\\' OR Id != null --'"),
        ('a"b', "'a\"b'"),
        ("line\nbreak\ttab", r"'line\nbreak\ttab'"),
        ("", "''"),
    ],
)
def test_quotes_and_backslashes_are_escaped(text: str, said: str) -> None:
    assert soql.quoted(text) == said


@pytest.mark.parametrize("text", ["\x00", "a\x1bb", "\x0b"])
def test_characters_that_soql_cannot_say_are_refused(text: str) -> None:
    with pytest.raises(CallRefused) as refused:
        soql.quoted(text)

    assert refused.value.code == "value_refused"


@pytest.mark.parametrize("name", ["", "1st", "a b", "a'b", "Account.Name", "Größe", "a" * 81, "x\n"])
def test_names_are_letters_digits_and_underscores(name: str) -> None:
    with pytest.raises(Forbidden) as refused:
        soql.name(name)

    assert refused.value.code == "field_name"


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("001A0000006Vm9r", "001A0000006Vm9rIAC"),  # of Salesforce's own documentation
        ("0035g00000AbCdE", "0035g00000AbCdEAAV"),
        ("003000000000001", "003000000000001AAA"),
    ],
)
def test_an_id_of_15_characters_becomes_the_one_of_18(short: str, long: str) -> None:
    assert soql.record_id(short) == soql.record_id(long) == long


@pytest.mark.parametrize(
    "given", ["", "003", "003000000000001AA", "003000000000001/..", "0030000000000\u0661"]
)
def test_what_is_no_id_is_refused(given: str) -> None:
    with pytest.raises(CallRefused):
        soql.record_id(given)


@pytest.mark.parametrize(
    "given",
    [
        "https://evil.example/services/data/v62.0/query/01g-2000",
        "/services/data/v62.0/query/../../oauth2/token",
        "/services/data/v62.0/query/01g?x=1",
        "None",
    ],
)
def test_only_a_next_page_is_followed(given: str) -> None:
    with pytest.raises(CallRefused):
        soql.next_page(given)
    assert soql.next_page("/services/data/v62.0/query/01gD0000002HU6KIAW-2000")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", None),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (1100.0, "1100"),
        (0.1, "0.1"),
        (1e21, "1000000000000000000000"),
        (Decimal("12.50"), "12.5"),
        ("12.50", "12.50"),
        ("2026-01-31T10:15:00.000+0000", "2026-01-31T10:15:00Z"),
        ("2026-01-31", "2026-01-31"),
        ({"city": "X"}, None),
    ],
)
def test_values_become_text(value: object, text: str | None) -> None:
    assert soql.as_text(value) == text


def test_instants_are_utc_with_milliseconds() -> None:
    at = datetime(2026, 1, 31, 12, 15, 0, 250_999, tzinfo=timezone(timedelta(hours=2)))

    assert soql.instant(at) == "2026-01-31T10:15:00.250Z"
    assert soql.read_instant("2026-01-31T10:15:00.250+0000") == datetime(2026, 1, 31, 10, 15, 0, 250_000, UTC)
    assert soql.read_instant("2026-13-31T10:15:00.250+0000") is None
    assert soql.read_instant("yesterday") is None


def test_two_hundred_customers_fit_into_addresses_that_salesforce_takes() -> None:
    rows = [
        (f"0198b5a2-7c1e-7000-8000-{number:012d}", f"o'neil+{number}@example.com") for number in range(200)
    ]

    parts = list(soql.portions(rows))

    assert [row for part in parts for row in part] == rows
    assert len(parts) <= 3
    for part in parts:
        where = f"{soql.one_of('RTX_Client_Id__c', [row[0] for row in part])} OR "
        where += soql.one_of("Email", [row[1] for row in part])
        assert len(quote(soql.select("Contact", ["Id"], where=where))) < 14_000


def test_one_long_value_is_a_part_of_its_own() -> None:
    assert list(soql.portions([("a",), ("b" * 100,), ("c",)], room=50)) == [
        [("a",)],
        [("b" * 100,)],
        [("c",)],
    ]
