"""Alarms: one open row per kind and subject, and one line in the log."""

import pytest

from apps.risk.models import RiskAlarm
from apps.risk.services import alarms


def raised(subject: str = "100001") -> bool:
    return alarms.raise_alarm(kind="no_price", severity="warning", subject=subject, message="no price")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what the log is told of alarms."""
    subjects: list[str] = []
    monkeypatch.setattr(alarms.log, "error", lambda event, **values: subjects.append(values["subject"]))
    return subjects


@pytest.mark.django_db
def test_what_goes_on_alarming_is_counted_and_logged_once(told: list[str]) -> None:
    assert [raised(), raised(), raised("100002"), raised()] == [True] * 4

    rows = RiskAlarm.objects.order_by("subject").values_list("subject", "count")
    assert list(rows) == [("100001", 3), ("100002", 1)]
    assert told == ["100001", "100002"]


@pytest.mark.django_db
def test_an_alarm_that_ended_is_new_when_it_comes_again(told: list[str]) -> None:
    raised()

    assert (alarms.clear(kind="no_price", subject="100001"), raised()) == (1, True)

    assert RiskAlarm.objects.filter(cleared_at=None).count() == 1
    assert RiskAlarm.objects.count() == 2
    assert told == ["100001", "100001"]
