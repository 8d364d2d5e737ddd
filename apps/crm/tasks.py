"""What workers do for crm, each by one service. Safe to run twice and beside itself."""

from celery import shared_task

from apps.crm.services import erasing, oauth, outbox, pushing, retention, runs, watches, webhooks

TURN_S = 30.0  # of one task: a long run leaves its worker to others in between


@shared_task(acks_late=True, ignore_result=True)
def dispatch() -> None:
    """Ask links for what changed, and let those that are due be sent."""
    while outbox.dispatch():
        pass
    for connection_id in pushing.waiting():
        push.apply_async([connection_id], expires=5)


@shared_task(acks_late=True, ignore_result=True)
def push(connection_id: int) -> None:
    """Send what waits at one connection, for a moment; the next turn goes on."""
    pushing.push_all(connection_id=connection_id, for_s=TURN_S)


@shared_task(acks_late=True, ignore_result=True)
def start_runs() -> None:
    """Queue the incremental runs whose time has come."""
    runs.start_due()


@shared_task(acks_late=True, ignore_result=True)
def take_up_runs() -> None:
    """Let workers take up the runs that nobody is at: new ones, and those whose worker died or waited."""
    for run_id in runs.waiting():
        carry_on_run.apply_async([run_id], expires=10)


@shared_task(acks_late=True, ignore_result=True)
def carry_on_run(run_id: int) -> None:
    """Take one run up for a moment; what is left goes on behind what others wait for."""
    if runs.carry_on(run_id=run_id, for_s=TURN_S):
        carry_on_run.apply_async([run_id])


@shared_task(acks_late=True, ignore_result=True)
def purge() -> None:
    """Drop logs and webhook bodies that are too old."""
    retention.purge()


@shared_task(acks_late=True, ignore_result=True)
def process_webhooks() -> None:
    """Look at what providers sent and was stored, for a moment; the rest goes behind what others wait for."""
    if webhooks.process_due(for_s=webhooks.PASS_S) and webhooks.are_waiting():
        process_webhooks.apply_async(expires=60)


@shared_task(acks_late=True, ignore_result=True)
def renew_watches() -> None:
    """
    Renew the channels of notifications before they end, drop authorizations that were not finished, and tell
    of erasures that wait for an access.
    """
    oauth.purge_states()
    erasing.tell_unreached()
    watches.renew()
