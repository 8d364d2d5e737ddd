"""Lists limited to a period: a day alone, both ends within, and what is no time at all."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import RefreshToken, User

LOGINS = reverse("admin:accounts_refreshtoken_changelist")
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
    [("2026-02-30", ""), ("", "10:00"), ("2026-03-04", "noon"), ("9999-12-31", ""), ("2026-03-04", "25:00")],
)
def test_what_is_no_time_is_told(admin_client: Client, logins: list[int], day: str, time: str) -> None:
    asked = {"issued_at_from_0": day, "issued_at_from_1": time}

    answer = admin_client.get(LOGINS, asked, follow=True)

    assert answer.status_code == 200
    assert "Not a day and a time" in answer.content.decode()
