"""Lists limited to a period or to days: a day alone, both ends within, and what is no time at all."""

from datetime import date, datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import RefreshToken, User
from apps.risk.models import AccountRiskDay
from tests.factories.house import House

LOGINS = reverse("admin:accounts_refreshtoken_changelist")
RISK_DAYS = reverse("admin:risk_accountriskday_changelist")
TOLD = "The list cannot be filtered like that, so it has no rows. "
TIMES = (
    "2026-03-03T23:59:59.999999+00:00",
    "2026-03-04T10:30:00+00:00",
    "2026-03-04T10:30:59.500000+00:00",
    "2026-03-04T10:31:00+00:00",
)


@pytest.fixture
def logins(db: None) -> list[int]:
    """Keep a login of each of these times; return their ids."""
    anna = User.objects.create_user("anna@example.com", None)
    return [
        RefreshToken.objects.create(
            family=uuid4(),
            user=anna,
            token_hash=uuid4().hex,
            issued_at=datetime.fromisoformat(time),
            expires_at=datetime.fromisoformat(time) + timedelta(days=7),
        ).pk
        for time in TIMES
    ]


@pytest.mark.parametrize(
    ("first", "last", "kept"),
    [
        ("2026-03-03", "2026-03-03", [0]),
        ("2026-03-04", "", [1, 2, 3]),
        ("2026-03-03", "2026-03-04", [0, 1, 2, 3]),
        ("2026-03-04 10:30", "2026-03-04 10:30", [1, 2]),
        ("2026-03-04 10:30:01", "2026-03-04 10:31:00", [2, 3]),
        ("2026-03-03 00:00:00", "2026-03-03 23:59:59", [0]),
        ("2026-03-05", "2026-03-06", []),
    ],
)
def test_both_ends_are_within(
    admin_client: Client, logins: list[int], first: str, last: str, kept: list[int]
) -> None:
    asked = {}
    for end, given in (("from", first), ("to", last)):
        day, _, time = given.partition(" ")
        asked |= {f"issued_at_{end}_0": day, f"issued_at_{end}_1": time}

    shown = admin_client.get(LOGINS, asked).context["cl"].result_list

    assert sorted(row.pk for row in shown) == [logins[place] for place in kept]


@pytest.mark.parametrize(
    ("day", "time"),
    [
        ("2026-02-30", ""),
        ("", "10:00"),
        ("2026-03-04", "noon"),
        ("9999-12-31", ""),
        ("2026-03-04", "25:00"),
        ("2026-03-04", "10"),  # an hour alone, or four digits, would be taken for a whole day
        ("2026-03-04", "1030"),
        ("2026-03-04", "10:30:00.5"),
        ("2026-03-04", "10:30+02:00"),
    ],
)
@pytest.mark.parametrize("end", ["from", "to"])
def test_what_is_no_time_is_told_and_shows_nothing(
    admin_client: Client, logins: list[int], end: str, day: str, time: str
) -> None:
    asked = {f"issued_at_{end}_0": day, f"issued_at_{end}_1": time, "expires_at_from_0": "2026-03-10"}

    answer = admin_client.get(LOGINS, asked)
    shown = answer.context["cl"]

    assert answer.status_code == 200
    assert [str(told) for told in answer.context["messages"]] == [
        f"{TOLD}“{' '.join(filter(None, (day, time)))}” is not a day and a time."
    ]
    assert list(shown.result_list) == []
    assert shown.params == asked
    assert [entry.used_parameters for entry in shown.filter_specs if entry.field_path == "expires_at"] == [
        {"expires_at_from_0": "2026-03-10"}
    ]


DAYS = (date(2026, 3, 3), date(2026, 3, 4), date(2026, 3, 5))


@pytest.fixture
def days(house: House) -> None:
    """Keep an account's days."""
    for day in DAYS:
        AccountRiskDay.objects.create(
            account=house.anna,
            date=day,
            equity_start="1100",
            equity_low="990",
            equity_high="1200",
            equity_end="1000",
            peak_equity="1901",
        )


@pytest.mark.parametrize(
    ("first", "last", "kept"),
    [
        ("2026-03-03", "2026-03-03", [0]),
        ("2026-03-04", "", [1, 2]),
        ("", "2026-03-04", [0, 1]),
        ("", "", [0, 1, 2]),
    ],
)
def test_days_are_within_both_ends(
    admin_client: Client, days: None, first: str, last: str, kept: list[int]
) -> None:
    shown = admin_client.get(RISK_DAYS, {"date_from": first, "date_to": last}).context["cl"].result_list

    assert sorted(row.date for row in shown) == [DAYS[place] for place in kept]


@pytest.mark.parametrize("typed", ["2026-02-30", "yesterday", "03/04/2026", "9999-12-31"])
def test_what_is_no_day_is_told_and_shows_nothing(admin_client: Client, days: None, typed: str) -> None:
    answer = admin_client.get(RISK_DAYS, {"date_from": "2026-03-04", "date_to": typed})

    assert [str(told) for told in answer.context["messages"]] == [f"{TOLD}“{typed}” is not a day."]
    assert list(answer.context["cl"].result_list) == []
