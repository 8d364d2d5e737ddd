"""
How long a million sealed entries take to verify: `audit_verify_s`; and to seal what one batch has:
`audit_seal_ms`.

The journal is filled up to a million with events like those that the first orders wrote; every checkpoint is
given out, so that the verification reads the files too. It runs as the command does, in a process of its own.
"""

import re
import time
from statistics import median

import psycopg

from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("audit_verify_s", "audit_seal_ms")
ENTRIES = 1_000_000
STEP = 50_000
TARGET_S, TARGET_SEAL_MS = 60.0, 1000.0
FILL = """
    INSERT INTO accounts_accountevent
        (account_id, seq, type, at, command_id, fingerprint, actor, request_id, payload)
    SELECT e.account_id, 1000000000 + %(start)s + n, e.type, clock_timestamp(), gen_random_uuid(),
           e.fingerprint, e.actor, e.request_id, e.payload
    FROM generate_series(1, %(count)s) n
    JOIN (
        SELECT row_number() OVER (ORDER BY id) - 1 AS place, * FROM (
            SELECT * FROM accounts_accountevent
            WHERE payload ? 'order' AND seq < 1000000000 ORDER BY id DESC LIMIT 100
        ) newest
    ) e ON e.place = n %% (SELECT least(100, count(*)) FROM accounts_accountevent
                           WHERE payload ? 'order' AND seq < 1000000000)
"""


def run(broker: Broker, say: Say) -> list[Figure]:
    """Fill the journal, seal it, give the checkpoints out, verify."""
    from apps.audit.selectors import logs
    from apps.audit.services import sealing

    _write_some_orders(broker)
    journal = logs.sealed_logs()["journal"]
    sealing.seal(journal)
    broker.stop("web", "stream", "engine")
    took: list[float] = []
    with psycopg.connect(broker.stack.owner_url, autocommit=True) as owner:
        have = _count(owner)
        while have < ENTRIES:
            owner.execute(FILL, {"start": have, "count": STEP})
            have += STEP
            started = time.perf_counter()
            sealed = sealing.seal(journal)
            if sealed:
                took.append((time.perf_counter() - started) / sealed * sealing.CHUNK * 1000)
        have = _count(owner)
        size = owner.execute("SELECT avg(pg_column_size(payload)) FROM accounts_accountevent").fetchone()
    say(f"  {have:,} entries; a batch of {sealing.CHUNK:,} is sealed in {median(took):.0f} ms")
    broker.stack.manage("audit_export", "--log", "journal", "--verbosity", "0")
    said = broker.stack.manage("audit_verify", "--log", "journal", "--verbosity", "0").strip()
    say(f"  {said}")
    found = re.search(r"intact: (\d+) entries, (\d+) checkpoints, .* in ([\d.]+) s", said)
    if found is None or int(found[1]) < ENTRIES:
        raise NotMeasured(f"audit_verify said: {said}")
    seconds = float(found[3]) * ENTRIES / int(found[1])
    detail = f"{found[1]} journal entries of {float(size[0]):.0f} bytes of payload" if size else ""
    return [
        Figure(
            name="audit_verify_s",
            value=seconds,
            unit="s",
            target=f"<= {TARGET_S:.0f}",
            ok=seconds <= TARGET_S,
            detail=f"{detail} in {found[2]} checkpoints, each compared with its file; for a million of them",
        ),
        Figure(
            name="audit_seal_ms",
            value=median(took),
            unit="ms",
            target=f"< {TARGET_SEAL_MS:.0f}",
            ok=median(took) < TARGET_SEAL_MS,
            detail=f"a checkpoint of {sealing.CHUNK} entries, median of {len(took)} sealings",
        ),
    ]


def _write_some_orders(broker: Broker) -> None:
    from apps.accounts.models import AccountEvent

    if not AccountEvent.objects.filter(payload__has_key="order").exists():
        broker.start("web", "stream", "engine")
        broker.orders(kind="ws", port=broker.stack.stream_port, path="/ws", seconds=2.0, warmup_s=0.5)


def _count(owner: psycopg.Connection) -> int:
    row = owner.execute("SELECT count(*) FROM accounts_accountevent").fetchone()
    assert row is not None
    return int(row[0])
