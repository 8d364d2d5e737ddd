"""
Seven ways to tamper with the journal, each with the SQL of an attacker who owns the tables: every one is
found, and the first entry that was touched is named.
"""

from pathlib import Path

import psycopg
import pytest

from apps.accounts.models import AccountEvent
from apps.audit.adapters.outside import Witnesses
from apps.audit.domain.findings import Finding, Tampering
from apps.audit.models import Checkpoint
from apps.audit.selectors import logs
from apps.audit.services import verifying
from tests.factories.rows import Holder, deposit
from tests.integration.audit.conftest import HOUSE_KEY, THIEF_KEY, Attack, key_text, seal_settled

JOURNAL = "accounts_accountevent"


def verified(outside: Path | None = None) -> verifying.Verified:
    witnesses = None if outside is None else Witnesses.found(outside)
    return verifying.verify(logs.sealed_logs()["journal"], witnesses=witnesses)


def finding(outside: Path | None = None) -> Finding:
    found = verified(outside).finding
    assert found is not None
    return found


def entry(holder: Holder, seq: int) -> AccountEvent:
    return AccountEvent.objects.get(account_id=holder.id, seq=seq)


def test_an_untouched_log_is_intact(sealed: Holder, outside: Path) -> None:
    result = verified(outside)

    assert result.finding is None
    assert (result.entries, result.checkpoints, result.outside) == (10, 3, 3)
    assert result.root == bytes(Checkpoint.objects.get(number=3).root).hex()


def test_an_edit_is_named(sealed: Holder, attack: Attack) -> None:
    victim = entry(sealed, 6)
    attack(f"UPDATE {JOURNAL} SET payload = jsonb_set(payload, '{{amount}}', '\"9\"') WHERE id = {victim.pk}")
    attack(f"UPDATE {JOURNAL} SET actor = 'client:user:1' WHERE seq = 9")

    found = finding()

    assert (found.what, found.id, found.seq, found.position, found.checkpoint) == (
        Tampering.EDITED,
        victim.pk,
        6,
        5,
        2,
    )
    assert found.subject == f"account {sealed.login}"


def test_a_deletion_is_named(sealed: Holder, attack: Attack) -> None:
    victim = entry(sealed, 4)
    attack(f"DELETE FROM {JOURNAL} WHERE id = {victim.pk}")

    found = finding()

    assert (found.what, found.id, found.seq, found.checkpoint) == (Tampering.DELETED, victim.pk, 4, 1)


def test_an_insertion_is_named(sealed: Holder, attack: Attack) -> None:
    attack(
        f"INSERT INTO {JOURNAL} (id, account_id, seq, type, at, command_id, fingerprint, actor, request_id,"
        " payload, xact) SELECT nextval('accounts_accountevent_id_seq'), account_id, 99, type, at,"
        f" gen_random_uuid(), fingerprint, actor, request_id, payload, xact FROM {JOURNAL} WHERE seq = 5"
    )

    found = finding()

    assert (found.what, found.id, found.seq) == (Tampering.INSERTED, AccountEvent.objects.get(seq=99).pk, 99)


def test_a_reordering_by_place_is_named(sealed: Holder, attack: Attack) -> None:
    early, late = entry(sealed, 3), entry(sealed, 8)
    attack(
        f"UPDATE {JOURNAL} e SET xact = o.xact FROM {JOURNAL} o"
        f" WHERE (e.id, o.id) IN (({early.pk}, {late.pk}), ({late.pk}, {early.pk}))"
    )

    found = finding()

    assert (found.what, found.id, found.seq) == (Tampering.REORDERED, early.pk, 3)


def test_a_reordering_by_content_is_named(sealed: Holder, attack: Attack) -> None:
    early, late = entry(sealed, 3), entry(sealed, 8)
    attack(f"UPDATE {JOURNAL} SET command_id = gen_random_uuid() WHERE id = {late.pk}")
    attack(
        f"UPDATE {JOURNAL} SET payload = '{{}}'::jsonb, command_id = '{late.command_id}',"
        f" fingerprint = '{late.fingerprint}' WHERE id = {early.pk}"
    )
    attack(
        f"UPDATE {JOURNAL} e SET payload = o.payload, type = o.type, actor = o.actor,"
        f" request_id = o.request_id FROM {JOURNAL} o WHERE e.id = {early.pk} AND o.id = {late.pk}"
    )

    found = finding()

    assert (found.what, found.id) == (Tampering.REORDERED, early.pk)
    assert f"entry {late.pk}" in found.detail


@pytest.mark.parametrize("first_gone", [1, 7, 10])
def test_a_truncation_is_named(first_gone: int, sealed: Holder, attack: Attack) -> None:
    victim = entry(sealed, first_gone)
    attack(f"DELETE FROM {JOURNAL} WHERE seq >= {first_gone}")

    found = finding()

    assert (found.what, found.id, found.seq) == (Tampering.TRUNCATED, victim.pk, first_gone)


def test_a_truncation_of_log_and_seal_is_proved_from_outside(
    sealed: Holder, attack: Attack, outside: Path
) -> None:
    victim = entry(sealed, 5)
    attack(f"DELETE FROM {JOURNAL} WHERE seq >= 5")
    attack("DELETE FROM audit_checkpoint WHERE number >= 2")

    assert verified().finding is None  # inside, nothing is left that knows better
    found = finding(outside)

    assert (found.what, found.id, found.witness) == (
        Tampering.TRUNCATED,
        victim.pk,
        "journal-0000000002.checkpoint",
    )


def test_a_changed_time_is_named(sealed: Holder, attack: Attack) -> None:
    victim = entry(sealed, 7)
    attack(f"UPDATE {JOURNAL} SET at = at - interval '1 day' WHERE id = {victim.pk}")

    found = finding()

    assert (found.what, found.id, found.seq) == (Tampering.BACKDATED, victim.pk, 7)


def test_an_entry_that_pretends_to_be_older_than_its_seal_is_named(sealed: Holder, attack: Attack) -> None:
    deposit(sealed.id, "5")
    attack(f"UPDATE {JOURNAL} SET at = at - interval '1 hour' WHERE seq = 11")  # before it is sealed
    seal_settled(1)

    found = finding()

    assert (found.what, found.seq, found.checkpoint) == (Tampering.BACKDATED, 11, 4)


def rewrite(attack: Attack, holder: Holder) -> None:
    """Change an entry and make the database's own seal anew from the first checkpoint on."""
    attack(f"UPDATE {JOURNAL} SET payload = jsonb_set(payload, '{{amount}}', '\"9\"') WHERE seq = 6")
    attack("DELETE FROM audit_checkpoint")
    seal_settled(10)


def test_a_rewriting_without_the_private_key_is_found_inside(
    sealed: Holder, attack: Attack, settings: object
) -> None:
    settings.AUDIT_SIGNING_KEY = key_text(THIEF_KEY)  # type: ignore[attr-defined]
    rewrite(attack, sealed)
    settings.AUDIT_SIGNING_KEY = ""  # type: ignore[attr-defined]
    settings.AUDIT_PUBLIC_KEYS = [HOUSE_KEY.public_text]  # type: ignore[attr-defined]

    found = finding()

    assert (found.what, found.checkpoint) == (Tampering.REWRITTEN, 1)
    assert "signing key thief is unknown" in found.detail


def test_a_rewriting_with_a_replaced_public_key_is_proved_from_outside(
    sealed: Holder, attack: Attack, outside: Path, settings: object
) -> None:
    victim = entry(sealed, 6)
    settings.AUDIT_SIGNING_KEY = key_text(THIEF_KEY)  # type: ignore[attr-defined]
    rewrite(attack, sealed)

    assert verified().finding is None  # the thief's key is the only one that is known now
    found = finding(outside)

    assert (found.what, found.id, found.seq, found.position) == (Tampering.REWRITTEN, victim.pk, 6, 5)
    assert found.witness == "journal-0000000002.checkpoint"


def test_one_file_is_enough_to_convict(sealed: Holder, attack: Attack, outside: Path) -> None:
    attack(f"UPDATE {JOURNAL} SET actor = 'system:nobody' WHERE seq = 6")
    attack("DELETE FROM audit_checkpoint")
    seal_settled(10, chunk=7)  # with the house's own key, in other batches

    found = finding(outside / "journal" / "0000" / "journal-0000000002.checkpoint")

    assert (found.what, found.seq) == (Tampering.REWRITTEN, 6)


def test_a_checkpoint_that_was_taken_away_is_missed(sealed: Holder, attack: Attack) -> None:
    attack("DELETE FROM audit_checkpoint WHERE number = 2")

    found = finding()

    assert (found.what, found.seq) == (Tampering.REWRITTEN, 5)
    assert "Checkpoint 2 is missing." in found.detail


@pytest.mark.parametrize("change", ["root = '\\x00'", "tree_size = 5", "signed_at = now()", "records = ''"])
def test_a_changed_checkpoint_proves_nothing(change: str, sealed: Holder, attack: Attack) -> None:
    attack(f"UPDATE audit_checkpoint SET {change} WHERE number = 2")

    found = finding()

    assert (found.what, found.checkpoint) == (Tampering.REWRITTEN, 2)


def test_the_application_may_not_touch_checkpoints(sealed: Holder) -> None:
    for act in (
        lambda: Checkpoint.objects.update(number=9),
        lambda: Checkpoint.objects.all().delete(),
    ):
        with pytest.raises(Exception, match=r"permission denied|append-only"):
            act()


def test_the_owner_cannot_touch_checkpoints_with_triggers_on(
    sealed: Holder, owner: psycopg.Connection
) -> None:
    for statement in (
        "UPDATE audit_checkpoint SET number = 9",
        "DELETE FROM audit_checkpoint",
        "TRUNCATE audit_checkpoint",
    ):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            owner.execute(statement)
