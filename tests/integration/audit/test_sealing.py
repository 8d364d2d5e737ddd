"""What is sealed and when: in commit order, once, all columns, by one process, with keys that may change."""

import threading
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from apps.accounts.models import AccountEvent
from apps.audit.adapters.outside import AlreadyDifferent, Witnesses
from apps.audit.models import Checkpoint, IntegrityCheck, StaffAction
from apps.audit.selectors import integrity, logs
from apps.audit.services import actions, checking, exporting, sealing, verifying
from apps.audit.tasks import seal
from rtx.kernel.actor import Actor, ActorKind
from tests.factories.rows import Holder, deposit
from tests.integration.audit.conftest import (
    HOUSE_KEY,
    THIEF_KEY,
    Attack,
    await_settled,
    key_text,
    seal_settled,
)

STAFF = Actor(kind=ActorKind.STAFF, name="user:7", reason="by phone\twith \\ and\nmore", ip="192.0.2.1")
SLOW_INSERT = """
    INSERT INTO accounts_accountevent
        (account_id, seq, type, at, command_id, fingerprint, actor, request_id, payload)
    SELECT account_id, 1000, type, clock_timestamp(), gen_random_uuid(), fingerprint, actor, request_id,
           payload
    FROM accounts_accountevent WHERE seq = 2
"""


def journal() -> verifying.Verified:
    return verifying.verify(logs.sealed_logs()["journal"])


@pytest.mark.parametrize(
    ("log", "model"), [("journal", AccountEvent), ("staff_log", StaffAction)], ids=["journal", "staff log"]
)
def test_every_column_is_sealed(log: str, model: type[AccountEvent]) -> None:
    assert logs.uncovered_columns(logs.sealed_logs()[log], model) == set()


def test_what_commits_late_is_sealed_late_and_in_its_place(
    holder: Holder, owner: psycopg.Connection, testbed: object
) -> None:
    with psycopg.connect(owner.info.dsn, password=owner.info.password) as slow:
        slow.execute(SLOW_INSERT)  # takes its id and transaction id, and does not commit
        deposit(holder.id, "1")  # a later id, committed
        seal_settled(10, chunk=100)  # neither of the two: an older one still runs
        slow.commit()

    seal_settled(2)
    late = AccountEvent.objects.get(seq=1000)
    assert Checkpoint.objects.get(number=2).first_id == late.pk
    assert (journal().finding, journal().entries) == (None, 12)


def test_nothing_is_sealed_twice(sealed: Holder) -> None:
    assert sealing.seal_all() == {"journal": 0, "staff_log": 0}
    assert Checkpoint.objects.count() == 3


def test_two_at_once_seal_once(holder: Holder) -> None:
    await_settled(10)

    def seal_once() -> None:
        try:
            sealing.seal(logs.sealed_logs()["journal"])
        finally:
            connection.close()

    threads = [threading.Thread(target=seal_once) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [row.count for row in Checkpoint.objects.filter(log="journal")] == [10]


def test_the_staff_log_is_sealed_with_every_odd_character(db: None) -> None:
    with transaction.atomic():
        actions.record(actor=STAFF, operation="accounts.disable_user", before={"name": "a\tb\\c"})

    await_settled(1, "staff_log")
    assert sealing.seal_all() == {"journal": 0, "staff_log": 1}
    assert verifying.verify(logs.sealed_logs()["staff_log"]).finding is None


def test_an_edited_staff_action_is_named(db: None, owner: psycopg.Connection) -> None:
    with transaction.atomic():
        entry = actions.record(actor=STAFF, operation="accounts.disable_user")
    await_settled(1, "staff_log")
    sealing.seal_all()
    owner.execute("ALTER TABLE audit_staffaction DISABLE TRIGGER USER")
    owner.execute("UPDATE audit_staffaction SET reason = 'another'")

    found = verifying.verify(logs.sealed_logs()["staff_log"]).finding

    assert found is not None
    assert (found.what, found.id, found.subject) == ("edited", entry.pk, "user 7")


def test_old_checkpoints_are_believed_after_the_key_was_changed(sealed: Holder, settings: object) -> None:
    settings.AUDIT_SIGNING_KEY = key_text(THIEF_KEY)  # type: ignore[attr-defined]  # the house's next key
    settings.AUDIT_PUBLIC_KEYS = [HOUSE_KEY.public_text]  # type: ignore[attr-defined]
    deposit(sealed.id, "1")
    await_settled(1)
    sealing.seal_all()

    keys = Checkpoint.objects.order_by("number").values_list("key_id", flat=True)
    assert list(keys) == ["house", "house", "house", "thief"]
    assert journal().finding is None


def test_nothing_is_added_to_a_seal_that_is_not_ours(sealed: Holder, attack: Attack) -> None:
    attack("UPDATE audit_checkpoint SET tree_size = 9 WHERE number = 3")
    deposit(sealed.id, "1")

    with pytest.raises(sealing.SealBroken):
        sealing.seal_all()


def test_files_outside_are_never_written_again(sealed: Holder, attack: Attack, outside: Path) -> None:
    assert exporting.export_new(outside) == 0
    attack("UPDATE audit_checkpoint SET signed_at = now() WHERE number = 3")

    with pytest.raises(AlreadyDifferent):
        list(exporting.export(outside, "journal", numbers=[3]))
    assert len(Witnesses.found(outside).numbers("journal")) == 3


def test_the_task_seals_and_gives_out(holder: Holder, outside: Path, settings: object) -> None:
    settings.AUDIT_EXPORT_DIR = str(outside)  # type: ignore[attr-defined]
    await_settled(10)

    seal()

    assert Witnesses.found(outside).numbers("journal") == [1]
    state = integrity.state()["heads"][0]
    assert (state["tree_size"], state["unsealed"], state["key_id"]) == (10, 0, "house")


def test_a_check_is_kept_with_what_it_found(sealed: Holder, attack: Attack) -> None:
    attack("UPDATE accounts_accountevent SET actor = 'nobody' WHERE seq = 6")
    check, is_new = checking.ask(asked_by="staff:user:7")

    assert (is_new, checking.ask(asked_by="staff:user:8")) == (True, (check, False))
    done = checking.run(check.pk)

    assert (done.status, done.findings[0]["what"], done.findings[0]["seq"]) == ("tampered", "edited", 6)
    assert IntegrityCheck.objects.get().finished_at is not None


def test_the_command_says_intact_or_names_the_entry(
    sealed: Holder, attack: Attack, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("audit_verify", checkpoint=str(outside), verbosity=0)
    assert (
        "journal is intact: 10 entries, 3 checkpoints, 3 of them proved from outside"
        in capsys.readouterr().out
    )
    attack("UPDATE accounts_accountevent SET actor = 'nobody' WHERE seq = 6")

    with pytest.raises(CommandError) as refused:
        call_command("audit_verify", checkpoint=str(outside), verbosity=0)

    assert refused.value.returncode == 1
    assert f"of account {sealed.login} seq 6" in capsys.readouterr().err


def test_a_file_that_is_no_checkpoint_is_told_apart(sealed: Holder, tmp_path: Path) -> None:
    (tmp_path / "x.checkpoint").write_text("no checkpoint")

    with pytest.raises(CommandError) as refused:
        call_command("audit_verify", checkpoint=str(tmp_path / "x.checkpoint"), verbosity=0)

    assert refused.value.returncode == 2


def test_the_export_command_tries_and_writes(
    sealed: Holder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "again"
    call_command("audit_export", out=str(target), since=2, dry_run=True, verbosity=0)
    assert "journal: 2 checkpoints would be written" in capsys.readouterr().out
    assert not target.exists()

    call_command("audit_export", out=str(target), verbosity=0)

    assert Witnesses.found(target).numbers("journal") == [1, 2, 3]
