"""
A worker of the sync without a queue, for `crm_kill`: does over and over what the workers' tasks do, until it
is killed. Imported by a process that has neither threads nor connections and is copied for each worker.
"""

import contextlib
import time

CLAIM_S = 1.0  # of a worker that was killed: the next one does not wait two minutes


def work(connection_id: int) -> None:
    """Carry runs on, start another when none lives, and send what changed."""
    import django

    django.setup()
    from django.conf import settings

    from apps.crm.models import SyncRun
    from apps.crm.services import outbox, pushing, runs
    from rtx.kernel.actor import Actor
    from rtx.kernel.errors import Conflict

    settings.CRM_CLAIM_S = CLAIM_S
    while True:
        with contextlib.suppress(Conflict):  # one lives
            runs.start(connection_id=connection_id, kind=SyncRun.Kind.FULL, actor=Actor.system("bench"))
        for run_id in runs.waiting():
            runs.carry_on(run_id=run_id, for_s=1.0)
        outbox.dispatch()
        pushing.push_all(connection_id=connection_id, for_s=1.0)
        time.sleep(0.02)
