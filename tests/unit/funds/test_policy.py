"""What a fund policy asks for, to the cent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.domain.ledger import BalanceKind
from apps.funds.domain.operations import Asked, said, signed
from apps.funds.domain.policy import (
    BelowMinimum,
    Policy,
    RequestsClosed,
    Used,
    check_request,
    is_looser,
    needs_second_person,
)
from apps.trading.domain.operations import AmountInvalid

D = Decimal


@pytest.mark.parametrize(
    ("threshold", "alone", "amount", "needed"),
    [
        (None, "1000000", "1000000", False),
        ("1000", "0", "1000", False),
        ("1000", "0", "1000.01", True),
        ("1000", "0", "-1000.01", True),
        ("1000", "999.99", "0.01", False),
        ("1000", "999.99", "-0.02", True),
        ("0", "0", "0.01", True),
    ],
)
def test_one_person_is_enough_up_to_the_threshold(threshold, alone, amount, needed):
    limit = None if threshold is None else D(threshold)

    assert needs_second_person(threshold=limit, alone_today=D(alone), amount=D(amount)) is needed


@pytest.mark.parametrize(
    ("elsewhere", "amount", "needed"),
    [
        ([("EUR", "300", "100")], "600", False),  # 1/3 + 2/3, exactly the whole
        ([("EUR", "300", "100")], "600.01", True),
        ([("EUR", "300", "200"), ("JPY", "6", "1")], "150", False),  # 2/3 + 1/6 + 1/6: no quotient is rounded
        ([("EUR", "300", "200"), ("JPY", "6", "1")], "150.000000000001", True),
        ([("EUR", "0", "0")], "900", False),
        ([("EUR", "0", "1")], "0.01", True),
    ],
)
def test_every_currency_counts_as_a_share_of_its_threshold(elsewhere, amount, needed):
    used = [Used(name, D(threshold), D(alone)) for name, threshold, alone in elsewhere]

    limit = D(900)
    told = needs_second_person(threshold=limit, alone_today=D(0), amount=D(amount), elsewhere=used)

    assert told is needed


@given(st.lists(st.decimals("-500", "500", places=2).filter(bool), min_size=1, max_size=30))
def test_no_split_posts_more_alone_than_the_threshold(parts):
    alone = D(0)
    for part in parts:
        if not needs_second_person(threshold=D(1000), alone_today=alone, amount=part):
            alone += abs(part)

    assert alone <= 1000


@pytest.mark.parametrize(
    ("now", "wanted", "looser"),
    [
        (None, None, False),
        (None, "1", False),
        ("1000", None, True),
        ("1000", "1000.01", True),
        ("1000", "1000", False),
        ("1000", "0", False),
    ],
)
def test_only_more_for_one_person_is_looser(now, wanted, looser):
    assert (
        is_looser(now=None if now is None else D(now), wanted=None if wanted is None else D(wanted)) is looser
    )


def test_a_client_may_ask_for_what_is_open():
    policy = Policy(minimum=D(10), takes_withdrawals=False)

    check_request(policy=policy, kind=BalanceKind.DEPOSIT, amount=D(10))
    with pytest.raises(BelowMinimum):
        check_request(policy=policy, kind=BalanceKind.DEPOSIT, amount=D("9.99"))
    with pytest.raises(RequestsClosed):
        check_request(policy=policy, kind=BalanceKind.WITHDRAWAL, amount=D(-100))


@pytest.mark.parametrize(
    ("kind", "amount", "currency", "booked"),
    [
        ("deposit", "5", "USD", "5.00"),
        ("withdrawal", "5", "USD", "-5.00"),
        ("adjustment", "-0.01", "USD", "-0.01"),
        ("credit", "-7", "JPY", "-7"),
    ],
)
def test_an_amount_is_signed_as_the_balance_sees_it(kind, amount, currency, booked):
    found = signed(BalanceKind(kind), D(amount), currency=currency)

    assert str(found) == booked
    assert said(BalanceKind(kind), found) == D(amount)


@pytest.mark.parametrize(
    ("kind", "amount", "currency"),
    [
        ("deposit", "-5", "USD"),
        ("withdrawal", "-5", "USD"),
        ("credit", "0", "USD"),
        ("deposit", "1.5", "JPY"),
    ],
)
def test_an_amount_that_does_not_fit_is_refused(kind, amount, currency):
    with pytest.raises(AmountInvalid):
        signed(BalanceKind(kind), D(amount), currency=currency)


def test_content_survives_being_data():
    asked = Asked(account_id=7, kind=BalanceKind.CREDIT, amount=D("-1.10"), reference="r", comment="c")

    assert Asked.read(asked.content()) == asked
    assert asked.content()["amount"] == "-1.10"
