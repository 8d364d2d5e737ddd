"""WSGI entry point: the admin and the REST interfaces. WebSockets are served by `rtx.asgi`."""

import os
import sys

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rtx.settings.dev")

# The executor's thread wakes after each of its statements. With Python's 5 ms it would wait that long for the
# interpreter each time, behind threads that serve requests: shorter turns halve the latency of everything.
SWITCH_INTERVAL_S = 0.0005
sys.setswitchinterval(SWITCH_INTERVAL_S)

application = get_wsgi_application()

from apps.accounts.checks import refuse_unsafe_settings  # noqa: E402

refuse_unsafe_settings()
