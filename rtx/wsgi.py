"""WSGI entry point: the admin and the REST interfaces. WebSockets are served by `rtx.asgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rtx.settings.dev")

application = get_wsgi_application()

from apps.accounts.checks import refuse_unsafe_settings  # noqa: E402
from rtx.kernel import interpreter  # noqa: E402

refuse_unsafe_settings()
interpreter.prepare()
