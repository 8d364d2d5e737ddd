"""When tasks run."""

import pytest
from celery.schedules import crontab
from django.conf import settings

SCHEDULE = settings.CELERY_BEAT_SCHEDULE


@pytest.mark.parametrize(
    ("name", "hour", "minute"), [("risk-correlations", {0}, {20}), ("risk-value-at-risk", {0}, {40})]
)
def test_what_runs_daily_runs_at_its_hour_whenever_beat_was_started(name, hour, minute):
    schedule = SCHEDULE[name]["schedule"]

    assert isinstance(schedule, crontab)
    assert (schedule.hour, schedule.minute) == (hour, minute)


def test_no_interval_is_longer_than_an_hour():
    longest = max(entry["schedule"] for entry in SCHEDULE.values() if isinstance(entry["schedule"], float))

    assert longest == 3600.0
