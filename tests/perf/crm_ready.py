"""Loads all that a worker of `crm_kill` needs, once, in the process that is copied for each of them."""

import django

django.setup()

import apps.crm.services.outbox  # noqa: E402
import apps.crm.services.pushing  # noqa: E402
import apps.crm.services.runs  # noqa: E402, F401
