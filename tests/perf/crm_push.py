"""
How long a change takes to reach the CRM: `crm_push_p95_s`, by the processes of the product.

Clients change one after another; each change is timed from its commit to the request that carries it, which
the portal takes after 20 ms latency. The portal allows 100 calls per 10 s.
"""

import json
import random
import time
from typing import Any

from tests.fakes.fake import Limit, Request
from tests.perf import crm_house
from tests.perf.broker import Broker, Say
from tests.perf.figures import Figure

NAMES = ("crm_push_p95_s",)
CLIENTS = 300
CHANGES = 300
PAUSE_S = 0.15
TARGET_S = 5.0


def run(broker: Broker, say: Say) -> list[Figure]:
    """Bring some clients in step, change them, and wait for every change."""
    from apps.accounts.services import clients as accounts
    from apps.crm.models import Link
    from apps.crm.services import claims

    broker.stop("web", "stream", "engine")
    everyone = crm_house.make_clients(CLIENTS)[:CLIENTS]
    came: dict[str, float] = {}
    with crm_house.crm(broker, limit=Limit(100, 10.0)) as fake:
        connection = crm_house.connect(fake, calls_max=100)
        fake.on_request = lambda request: _note(request, came)
        claims.add(connection, [(client.pk, None, client.created_at) for client in everyone])
        broker.start("sync", "beat")
        waiting = Link.objects.filter(is_waiting=True)
        crm_house.wait("clients in step", lambda: not waiting.exists(), timeout_s=90)
        changed: dict[str, float] = {}
        chance = random.Random(7)
        for number in range(CHANGES):
            name = f"Change{number}"
            accounts.change(client_id=chance.choice(everyone).pk, changes={"first_name": name})
            changed[name] = time.time()
            time.sleep(PAUSE_S)
        crm_house.wait("the last changes", lambda: not waiting.exists(), timeout_s=30)
        broker.stop("beat", "sync")
    # A client who changes again before the first change was sent is sent once, as they are now.
    took = sorted(came[name] - at for name, at in changed.items() if name in came)
    p95 = took[int(len(took) * 0.95)]
    say(f"  median {took[len(took) // 2]:.2f} s, p95 {p95:.2f} s, slowest {took[-1]:.2f} s")
    return [
        Figure(
            name="crm_push_p95_s",
            value=p95,
            unit="s",
            target=f"<= {TARGET_S:.0f}",
            ok=p95 <= TARGET_S,
            detail=(
                f"{len(took)} of {CHANGES} changes arrived as values of their own (the others were overtaken "
                f"by a later change of the same client), median {took[len(took) // 2]:.2f} s"
            ),
        )
    ]


def _note(request: Request, came: dict[str, float]) -> None:
    if request.path.endswith(("/batch/upsert", "/batch/update")):
        body: Any = json.loads(request.body)
        for one in body["inputs"]:
            name = one["properties"].get("firstname")
            if name:
                came.setdefault(name, time.time())
