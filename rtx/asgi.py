"""
ASGI entry point of stream processes: `/ws`, `/ws/staff`, and `/health` and `/ready` without touching Django's
URL map.

Everything else goes to Django, so that `runserver` (daphne) serves the whole site in development; in
production the admin and REST run under WSGI.
"""

import os
from typing import Any

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rtx.settings.dev")

django_application = get_asgi_application()

from apps.accounts.checks import refuse_unsafe_settings  # noqa: E402
from apps.console.consumers import PATH as STAFF_PATH  # noqa: E402
from apps.console.consumers import DashboardSocket  # noqa: E402
from apps.trading.consumers.server import StreamHealth, StreamLifespan, StreamSocket  # noqa: E402

refuse_unsafe_settings()

traders, staff = StreamSocket(), DashboardSocket()


async def sockets(scope: Any, receive: Any, send: Any) -> None:
    """Serve a socket: `/ws/staff` is the dashboard's, everything else the traders'."""
    serve = staff if scope["path"].rstrip("/") == STAFF_PATH else traders
    await serve(scope, receive, send)


application = ProtocolTypeRouter(
    {
        "http": StreamHealth(django_application),
        "websocket": sockets,
        "lifespan": StreamLifespan(),
    }
)
