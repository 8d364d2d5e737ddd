"""
What is lost or doubled when the sync's worker is killed at 100 random points: `crm_kill_lost`.

A worker process carries runs on and sends what changed, by the product's services; it is killed (SIGKILL)
after a random time, and the next one goes on. Meanwhile clients change, some contacts are in the portal
already (joined by e-mail), some persons there are unknown here and become clients. In the end every client
must have exactly one contact with the present values, and every person one client.
"""

import multiprocessing
import os
import random
import signal
import time
from typing import Any

from tests.fakes.hubspot import HubSpotFake
from tests.perf import crm_house, crm_worker
from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("crm_kill_lost",)
CLIENTS = 4000
THERE = 150  # contacts with a client's e-mail address
UNKNOWN = 150  # contacts who become clients
KILLS = 100
LIFE_S = (0.05, 1.2)
TIMEOUT_S = 900.0


def run(broker: Broker, say: Say) -> list[Figure]:
    """Kill workers until it was often enough, let one end the work, and compare."""
    broker.stop("web", "stream", "engine", "beat", "sync")
    clients = crm_house.make_clients(CLIENTS)[:CLIENTS]
    chance = random.Random(11)
    with crm_house.crm(broker, limit=None) as fake:
        for number in range(THERE):
            fake.add("contacts", email=clients[number * 7].email, firstname="Bench")
        for number in range(UNKNOWN):
            fake.add("contacts", email=f"new{number}@there.example", firstname="New", lastname=f"P{number}")
        connection = crm_house.connect(fake, calls_max=10_000, creates_clients=True, pull_every_s=10)
        kills = _kill(clients, connection.pk, chance, say)
        _finish(connection.pk)
        lost, doubled = _compare(fake)
    say(f"  {kills} kills: {lost} lost, {doubled} doubled")
    return [
        Figure(
            name="crm_kill_lost",
            value=lost + doubled,
            unit="customers",
            target="0",
            ok=lost == doubled == 0 and kills >= KILLS,
            detail=(
                f"{kills} kills of a worker over runs of {len(clients)} clients with {THERE} known by e-mail "
                f"and {UNKNOWN} new ones in the CRM: {lost} lost, {doubled} doubled"
            ),
        )
    ]


def _kill(clients: list[Any], connection_id: int, chance: random.Random, say: Say) -> int:
    from apps.accounts.services import clients as accounts

    context = multiprocessing.get_context("forkserver")  # of a process without threads and connections
    context.set_forkserver_preload(["__main__", "tests.perf.crm_ready"])
    kills, until = 0, time.monotonic() + TIMEOUT_S
    while kills < KILLS:
        if time.monotonic() > until:
            raise NotMeasured(f"only {kills} kills within {TIMEOUT_S:.0f} s")
        worker = context.Process(target=crm_worker.work, args=(connection_id,), daemon=True)
        worker.start()
        time.sleep(chance.uniform(*LIFE_S))
        if worker.pid is not None and worker.is_alive():
            os.kill(worker.pid, signal.SIGKILL)
            kills += 1
        worker.join()
        for client in chance.sample(clients, 3):
            accounts.change(client_id=client.pk, changes={"last_name": f"Change{kills}"})
        if kills % 20 == 0:
            say(f"  {kills} kills")
    return kills


def _finish(connection_id: int) -> None:
    """End the live run, then go once more over everything, undisturbed."""
    from apps.crm.models import Change, Link, SyncRun
    from apps.crm.services import outbox, pushing, runs

    def is_done() -> bool:
        for run_id in runs.waiting():
            runs.carry_on(run_id=run_id)
        outbox.dispatch()
        pushing.push_all(connection_id=connection_id, for_s=10)
        is_live = SyncRun.objects.filter(status__in=SyncRun.LIVE).exists()
        return not (is_live or Change.objects.exists() or Link.objects.filter(is_waiting=True).exists())

    crm_house.wait("the rest", is_done, timeout_s=300)


def _compare(fake: HubSpotFake) -> tuple[int, int]:
    """Return how many clients have no contact with their values, and how many stand there or here twice."""
    from apps.accounts.models import Client

    contacts = [one.properties for one in fake.contacts.records.values() if not one.is_archived]
    by_id: dict[str, list[dict[str, str]]] = {}
    for one in contacts:
        by_id.setdefault(one.get("rtx_client_id", ""), []).append(one)
    lost, doubled = 0, len(by_id.pop("", []))  # a contact of nobody: its client has another, or none
    clients = list(Client.objects.filter(data_key__isnull=False))
    for client in clients:
        found = by_id.pop(str(client.pk), [])
        values = {"lastname": client.last_name, "email": client.email, "firstname": client.first_name}
        lost += not found or any(found[0].get(name) != value for name, value in values.items())
        doubled += max(0, len(found) - 1)
    doubled += sum(len(found) for found in by_id.values())
    emails = [client.email.lower() for client in clients]
    return lost, doubled + len(emails) - len(set(emails))
