"""Which workers take which queues, here and in the deployments."""

from pathlib import Path

from django.conf import settings

from rtx.local.home import REPOSITORY
from rtx.local.programs import NAMES, PROMPT_QUEUES, QUEUES, SYNC_QUEUES, SYNC_THREADS, Sizes, programs

DEPLOYMENTS = ("docker/compose.yml", "k8s/base/worker.yaml", "k8s/base/prompt.yaml", "k8s/base/sync.yaml")


def test_every_queue_has_workers_and_what_must_not_wait_has_its_own() -> None:
    taken = [*QUEUES.split(","), *PROMPT_QUEUES.split(","), *SYNC_QUEUES.split(",")]

    assert sorted(taken) == sorted(settings.CELERY_TASK_QUEUES_NAMES)
    assert {"audit", "risk", "trading"} == set(PROMPT_QUEUES.split(","))
    assert settings.CELERY_TASK_ROUTES["apps.audit.tasks.verify"]["queue"] in QUEUES


def test_each_worker_has_a_name_of_its_own() -> None:
    known = programs(web_port=1, stream_port=2, crm_port=3, folder=Path(), sizes=Sizes())

    assert tuple(sorted(known)) == tuple(sorted(NAMES))
    assert {"prompt@%h", PROMPT_QUEUES} < set(known["prompt"].command)
    assert {"worker@%h", QUEUES} < set(known["worker"].command)
    assert {"sync@%h", SYNC_QUEUES, "threads", str(SYNC_THREADS)} < set(known["sync"].command)


def test_the_deployments_part_the_queues_alike() -> None:
    texts = [(REPOSITORY / name).read_text() for name in DEPLOYMENTS]

    assert [f'"{QUEUES}"' in text for text in texts] == [True, True, False, False]
    assert [f'"{PROMPT_QUEUES}"' in text for text in texts] == [True, False, True, False]
    assert [f'"{SYNC_QUEUES}"' in text for text in texts] == [True, False, False, True]
    assert [f'"{SYNC_THREADS}"' in text for text in texts] == [True, False, False, True]


def test_no_turn_of_a_frequent_task_outlives_the_next() -> None:
    frequent = {
        name: entry
        for name, entry in settings.CELERY_BEAT_SCHEDULE.items()
        if isinstance(entry["schedule"], float) and entry["schedule"] <= 60
    }

    assert {name: entry["options"]["expires"] for name, entry in frequent.items()} == {
        name: entry["schedule"] for name, entry in frequent.items()
    }
