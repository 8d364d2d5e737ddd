"""Transformations: exact texts, typed refusals that name no value, and nothing else whatever comes."""

import contextlib
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.crm.domain.texts import Unfit
from apps.crm.domain.transforms import TRANSFORMS, inward, is_same, outward

NOON = datetime(2026, 3, 29, 12, 0, 0, 123000, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("transform", "value", "options", "text"),
    [
        ("text", "  Ann ", {}, "Ann"),
        ("text", "", {}, None),
        ("text", None, {}, None),
        ("text", 7, {}, "7"),
        ("text", Decimal("1E+3"), {}, "1000"),
        ("text", date(2026, 3, 1), {}, "2026-03-01"),
        ("text", {"USD": Decimal("20.00"), "EUR": Decimal("1.50")}, {}, "1.50 EUR, 20.00 USD"),
        ("upper", "straße", {}, "STRASSE"),
        ("lower", "ANN", {}, "ann"),
        ("truncate", "Annabel", {"length": 3}, "Ann"),
        ("number", Decimal("150.5000"), {}, "150.5"),
        ("number", Decimal("150.505"), {"decimals": 2}, "150.51"),
        ("number", Decimal("-0.001"), {"decimals": 2}, "0.00"),
        ("number", 7, {"decimals": "0"}, "7"),
        ("number", {"USD": Decimal(5), "EUR": Decimal(6)}, {"currency": "EUR"}, "6"),
        ("number", {"USD": Decimal(5)}, {}, "5"),
        ("number", {"USD": Decimal(5)}, {"currency": "GBP"}, "0"),
        ("number", {}, {}, "0"),
        ("date", NOON, {}, "2026-03-29"),
        ("date", datetime(2026, 3, 30, 1, 0, tzinfo=BERLIN), {}, "2026-03-29"),
        ("datetime", NOON, {}, "2026-03-29T12:00:00.123Z"),
        ("datetime", date(2026, 3, 29), {}, "2026-03-29T00:00:00.000Z"),
        ("epoch_ms", NOON, {}, "1774785600123"),
        ("yes_no", "verified", {"is": "verified"}, "true"),
        ("yes_no", "pending", {"is": "verified", "no": "No"}, "No"),
        ("yes_no", Decimal(0), {}, "false"),
        ("yes_no", {"USD": Decimal(1)}, {"yes": "Y"}, "Y"),
        ("map", "verified", {"verified": "Approved"}, "Approved"),
        ("map", "pending", {"verified": "Approved", "*": "Open"}, "Open"),
        ("country_name", "DE", {}, "Germany"),
        ("country_code", "Germany", {}, "DE"),
        ("phone", "0049 (30) 123-456", {}, "+4930123456"),
        ("phone", "030/123456", {"prefix": "49"}, "+4930123456"),
        ("constant", None, {"value": "Private client"}, "Private client"),
    ],
)
def test_a_value_becomes_this_text(transform, value, options, text) -> None:
    assert outward(transform, value, options) == text


@pytest.mark.parametrize(
    ("transform", "value", "options", "why"),
    [
        ("number", {"USD": Decimal(5), "EUR": Decimal(6)}, {}, "has several currencies: choose one"),
        ("number", Decimal("NaN"), {}, "is no number"),
        ("number", "12,5x", {}, "is no number"),
        ("date", "someday", {}, "is no instant"),
        ("map", "other", {"verified": "Approved"}, "has no entry in the map"),
        ("country_name", "ZZ", {}, "is no country"),
        ("phone", "030 123456", {}, "is no international phone number"),
        ("phone", "call me", {}, "is no international phone number"),
        ("text", "x" * 5001, {}, "is too long"),
        ("truncate", "Ann", {}, "does not fit the transformation"),
    ],
)
def test_what_does_not_fit_says_why(transform, value, options, why) -> None:
    with pytest.raises(Unfit) as refused:
        outward(transform, value, options)

    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("transform", "text", "options", "value"),
    [
        ("text", " Ann ", {}, "Ann"),
        ("text", None, {}, ""),
        ("country_name", "germany", {}, "DE"),
        ("country_name", "USA", {}, "US"),
        ("country_name", "de", {}, "DE"),
        ("phone", "+49 30 123456", {}, "+4930123456"),
        ("map", "Approved", {"verified": "Approved", "pending": "Open"}, "verified"),
    ],
)
def test_a_text_is_read_back(transform, text, options, value) -> None:
    assert inward(transform, text, options) == value


@pytest.mark.parametrize("transform", ["truncate", "number", "date", "yes_no", "constant"])
def test_some_cannot_be_read_back(transform) -> None:
    with pytest.raises(Unfit):
        inward(transform, "1", {"length": 3, "value": "x"})


@pytest.mark.parametrize(
    ("transform", "one", "other", "same"),
    [
        ("number", "100", "100.00", True),
        ("number", "100", "100.01", False),
        ("number", "x", "100", False),
        ("datetime", "2026-03-29T12:00:00.123Z", "2026-03-29T14:00:00.123+02:00", True),
        ("epoch_ms", "1774785600123", "2026-03-29T12:00:00.123Z", True),
        ("date", "2026-03-29", "2026-03-29T00:00:00Z", True),
        ("yes_no", "true", "True", True),
        ("text", "Ann ", "Ann", True),
        ("text", "Ann", "ann", False),
        ("text", None, "", True),
        ("text", None, "Ann", False),
    ],
)
def test_texts_that_mean_the_same(transform, one, other, same) -> None:
    assert is_same(transform, one, other) is same


VALUES = st.one_of(
    st.none(),
    st.text(max_size=40),
    st.integers(),
    st.decimals(),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
    st.dictionaries(st.text(max_size=4), st.decimals(), max_size=3),
)
OPTIONS = st.dictionaries(
    st.sampled_from(["length", "decimals", "currency", "value", "*", "prefix", "is"]),
    st.one_of(st.text(max_size=5), st.integers(-5, 20), st.none()),
    max_size=4,
)


@given(st.sampled_from(sorted(TRANSFORMS)), VALUES, OPTIONS)
def test_whatever_comes_becomes_text_or_is_refused_without_naming_it(transform, value, options) -> None:
    text, said = None, ""
    try:
        text = outward(transform, value, options)
    except Unfit as refused:
        said = str(refused)

    assert text is None or isinstance(text, str)
    assert len(str(value)) < 12 or str(value) not in said


@given(st.sampled_from(sorted(TRANSFORMS)), st.text(max_size=40), OPTIONS)
def test_whatever_a_crm_says_is_read_or_refused(transform, text, options) -> None:
    with contextlib.suppress(Unfit):
        assert isinstance(inward(transform, text, options), str)

    assert is_same(transform, text, text)


@given(st.sampled_from(sorted(TRANSFORMS)), st.text(max_size=20), st.text(max_size=20))
def test_sameness_is_symmetric(transform, one, other) -> None:
    assert is_same(transform, one, other) is is_same(transform, other, one)
