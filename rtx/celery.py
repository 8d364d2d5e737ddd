"""The Celery application. Tasks live in the apps; schedules and routes live in settings."""

import os

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rtx.settings.dev")

app = Celery("rtx")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.worker_init.connect
@signals.beat_init.connect
def refuse_unsafe_settings(**_: object) -> None:
    """Refuse to start a worker or beat on an unsafe setting."""
    from apps.accounts import checks

    checks.refuse_unsafe_settings()
