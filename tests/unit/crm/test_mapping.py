"""Pairs of fields: what is wrong with them, and the fields that they make."""

from datetime import date
from decimal import Decimal

import pytest

from apps.crm.domain import fields, mapping
from apps.crm.domain.mapping import Pair, Target


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (Pair("nickname", "nick"), "There is no such RTX field."),
        (Pair("email", "email", transform="rot13"), "There is no such transformation."),
        (Pair("email", ""), "Name the field in the CRM."),
        (Pair("email", "email", "pull"), "E-mail cannot be changed by a CRM."),
        (Pair("kyc_status", "kyc", "newest"), "KYC status cannot be changed by a CRM."),
        (Pair("first_name", "f", "pull", "truncate", {"length": 3}), "'Cut off' cannot be read back."),
        (Pair("balance", "b", transform="upper"), "'In capitals' does not take a value of the type money."),
        (Pair("email", "email", "sideways"), "There is no such direction."),  # type: ignore[arg-type]
        (Pair("phone", "p", transform="truncate"), "Characters at most: is needed."),
        (Pair("phone", "p", transform="truncate", options={"length": 0}), "Characters at most: a number"),
        (Pair("kyc_status", "k", transform="map"), "Give the pairs of values."),
        (
            Pair("country", "c", "newest", "map", {"DE": "X", "FR": "X"}),
            "What is read back needs one value for each.",
        ),
        (Pair("email", "e", transform="constant"), "Text: is needed."),
    ],
)
def test_what_is_wrong_with_a_pair_is_said(pair, said) -> None:
    assert any(problem.startswith(said) for problem in mapping.problems("client", pair))


def test_a_pair_must_fit_the_field_in_the_crm() -> None:
    number = Pair("balance", "b", transform="number")

    assert mapping.problems("client", number, Target("number")) == []
    assert mapping.problems("client", number, Target("boolean")) != []
    assert mapping.problems("client", number, Target("number", is_read_only=True)) == [
        "The CRM does not let this field be written."
    ]


def test_pairs_taken_together_write_no_field_twice() -> None:
    pairs = [Pair("first_name", "a", "newest"), Pair("first_name", "b", "pull"), Pair("email", "a")]

    assert mapping.unreadable(pairs) == ["first_name is read from two fields.", "a is written twice."]


@pytest.mark.parametrize(
    ("provider", "customer", "account"),
    [
        ("hubspot", "contacts", "deals"),
        ("salesforce", "Contact", "Opportunity"),
        ("salesforce", "Lead", "RTX_Account__c"),
        ("zoho", "Contacts", "Deals"),
        ("zoho", "Leads", "Deals"),
    ],
)
def test_what_a_connection_begins_with_is_right(provider, customer, account) -> None:
    for kind, name in (("client", customer), ("account", account)):
        pairs = mapping.defaults(provider, name, kind)

        assert pairs
        assert [found for pair in pairs for found in mapping.problems(kind, pair)] == []
        assert mapping.unreadable(pairs) == []
    assert mapping.email_field(mapping.defaults(provider, customer, "client")).lower() == "email"


def test_fields_are_made_and_what_does_not_fit_is_left_out() -> None:
    pairs = [
        Pair("first_name", "firstname"),
        Pair("birth_date", "born", transform="date"),
        Pair("balance", "money", transform="number", options={"currency": "USD"}),
        Pair("phone", "phone", transform="phone"),
    ]
    values = {
        "first_name": "Ann",
        "birth_date": date(1990, 5, 4),
        "balance": {"USD": Decimal("1.50")},
        "phone": "secret",
    }

    made = mapping.made(pairs, values)

    assert made.fields == {"firstname": "Ann", "born": "1990-05-04", "money": "1.5"}
    assert made.unfit == {"phone": "is no international phone number"}


def test_only_names_phone_address_and_country_are_pulled() -> None:
    pullable = {field.name for field in fields.CLIENT_FIELDS if field.is_pullable}

    assert pullable == {"first_name", "last_name", "phone", "address", "country"}
    assert not [field for field in fields.ACCOUNT_FIELDS if field.is_pullable]
