"""A seal that is broken, late or not given out is noted, shown and alarmed; the alarm ends with its cause."""

from datetime import timedelta
from pathlib import Path

import pytest

from apps.audit.models import Checkpoint, IntegrityCheck, SealStatus
from apps.audit.selectors import integrity
from apps.audit.services import checking, standing
from apps.risk.models import RiskAlarm
from apps.risk.selectors.reaches import alarms_within
from apps.risk.services import seal_watch
from rtx.kernel import clock
from tests.factories.rows import Holder, deposit
from tests.integration.audit.conftest import Attack, await_settled

BEYOND = 2**40  # a transaction of the server that the dump came from


@pytest.fixture
def exported(sealed: Holder, outside: Path, settings: object) -> Holder:
    """The journal sealed and given out, and the task told where to."""
    settings.AUDIT_EXPORT_DIR = str(outside)  # type: ignore[attr-defined]
    standing.carry_out()
    return sealed


def status() -> SealStatus:
    return SealStatus.objects.get(log="journal")


def alarms() -> list[tuple[str, str]]:
    rows = RiskAlarm.objects.filter(kind="log_integrity", cleared_at=None)
    return sorted(rows.values_list("subject", "severity"))


def test_all_is_well(exported: Holder) -> None:
    assert seal_watch.look() == []
    head = integrity.state()["heads"][0]
    assert (head["outside_number"], head["outside_root"]) == (3, head["root"])


def test_a_counter_that_begins_anew_stops_the_sealing(exported: Holder, attack: Attack) -> None:
    attack(
        f"UPDATE accounts_accountevent SET xact = '{BEYOND}'::xid8"
        " WHERE id = (SELECT max(id) FROM accounts_accountevent)"
    )
    deposit(exported.id, "1")

    with pytest.raises(standing.RoundFailed, match="journal"):
        standing.carry_out()

    assert f"entries of journal bear {BEYOND}: it was restored from a dump" in status().problem
    assert Checkpoint.objects.count() == 3
    assert seal_watch.look() == ["journal:seal"]


def test_one_log_that_fails_stops_no_other(exported: Holder, attack: Attack) -> None:
    attack("UPDATE audit_checkpoint SET tree_size = 9 WHERE number = 3")
    deposit(exported.id, "1")
    await_settled(1)

    with pytest.raises(standing.RoundFailed):
        standing.carry_out()

    assert SealStatus.objects.get(log="staff_log").problem == ""
    assert "does not bear a known signature" in status().problem


def test_a_database_of_an_earlier_time_gives_nothing_out(exported: Holder, attack: Attack) -> None:
    attack("DELETE FROM audit_checkpoint WHERE number = 3")
    attack("DELETE FROM accounts_accountevent WHERE seq > 8")

    with pytest.raises(standing.RoundFailed):
        standing.carry_out()

    assert status().outside_problem.startswith("OutsideAhead: checkpoint 3 of journal")
    assert seal_watch.look() == ["journal:outside"]


def test_another_history_under_the_same_number_is_told(exported: Holder, attack: Attack) -> None:
    attack("UPDATE audit_checkpoint SET signed_at = now() WHERE number = 3")

    with pytest.raises(standing.RoundFailed):
        standing.carry_out()

    assert status().outside_problem.startswith("AlreadyDifferent: checkpoint 3 of journal")


def test_a_storage_that_is_away_is_told_while_sealing_goes_on(
    exported: Holder, tmp_path: Path, settings: object
) -> None:
    (tmp_path / "file").write_text("no folder")
    settings.AUDIT_EXPORT_DIR = str(tmp_path / "file")  # type: ignore[attr-defined]
    deposit(exported.id, "1")
    await_settled(1)

    with pytest.raises(standing.RoundFailed):
        standing.carry_out()

    assert (Checkpoint.objects.filter(log="journal").count(), status().problem) == (4, "")
    assert "NotADirectoryError" in status().outside_problem
    assert status().outside_number == 3


def test_a_sealer_that_is_silent_is_alarmed_until_it_seals_again(exported: Holder) -> None:
    SealStatus.objects.update(at=clock.now() - timedelta(seconds=61))

    assert seal_watch.look() == ["journal:seal", "staff_log:seal"]
    assert alarms() == [("journal:seal", "critical"), ("staff_log:seal", "critical")]
    assert alarms_within(RiskAlarm.objects.all(), frozenset()).count() == 2  # whoever sees alarms sees these
    standing.carry_out()

    assert (seal_watch.look(), alarms()) == ([], [])


def test_a_check_that_finds_something_is_alarmed(exported: Holder, attack: Attack) -> None:
    attack("UPDATE accounts_accountevent SET actor = 'nobody' WHERE seq = 6")
    checking.run(checking.ask(asked_by="schedule")[0].pk)

    assert seal_watch.look() == ["check"]
    assert alarms() == [("check", "critical")]


def test_a_check_that_could_not_be_made_is_a_warning(exported: Holder) -> None:
    IntegrityCheck.objects.create(started_at=clock.now(), status="failed", detail="It stopped on the way.")

    assert seal_watch.look() == ["check"]
    assert alarms() == [("check", "warning")]
