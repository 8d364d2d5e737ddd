"""
How much of the allowed calls a full sync uses: `crm_full_sync_share`.

10,000 clients whom the portal does not know yet, 20 ms latency, 20 calls per 10 s, by the processes of the
product. Counted at the portal, over full windows of its clock; one call more than the limit would be refused
there and is counted too.
"""

from tests.fakes.fake import Limit
from tests.perf import crm_house
from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("crm_full_sync_share",)
CLIENTS = 10_000
CALLS, WINDOW_S = 20, 10.0
TARGET = 0.95
TIMEOUT_S = 300.0


def run(broker: Broker, say: Say) -> list[Figure]:
    """Sync everybody once and look at the windows."""
    from apps.crm.models import SyncRun
    from apps.crm.services import runs
    from rtx.kernel.actor import Actor

    broker.stop("web", "stream", "engine")
    clients = crm_house.make_clients(CLIENTS)
    say(f"  {len(clients):,} clients are there")
    with crm_house.crm(broker, limit=Limit(CALLS, WINDOW_S)) as fake:
        connection = crm_house.connect(fake, calls_max=CALLS)
        broker.start("sync", "beat")
        started = runs.start(connection_id=connection.pk, kind="full", actor=Actor.system("bench"))

        def is_over() -> bool:
            started.refresh_from_db()
            return started.status not in SyncRun.LIVE

        crm_house.wait("the full sync", is_over, timeout_s=TIMEOUT_S)
        broker.stop("beat", "sync")
        if started.status != SyncRun.Status.DONE:
            raise NotMeasured(f"the run ended as {started.status}: {started.error_code} {started.error}")
        windows = fake.windows(WINDOW_S)
        batches = fake.batches("batch_upsert")
        refused = sum(1 for call in fake.calls if call.is_over)
        contacts = len([one for one in fake.contacts.records.values() if not one.is_archived])
    if not windows or contacts != len(clients):
        raise NotMeasured(f"{contacts} of {len(clients)} clients are there after {len(windows)} windows")
    share = sum(windows) / (CALLS * len(windows))
    full = sum(1 for size in batches if size == 100)
    say(f"  windows {windows}, {full} of {len(batches)} batches full, {refused} calls refused")
    return [
        Figure(
            name="crm_full_sync_share",
            value=share,
            unit="of allowed",
            target=f">= {TARGET}",
            ok=share >= TARGET and full >= len(batches) - 1 and refused == 0,
            detail=(
                f"{len(clients)} clients, {len(batches)} batches ({full} of 100), "
                f"{windows} calls in full windows of {WINDOW_S:.0f} s at {CALLS} allowed, {refused} refused"
            ),
        )
    ]
