"""The Celery application. Tasks live in the apps; schedules and routes live in settings."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rtx.settings.dev")

app = Celery("rtx")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
