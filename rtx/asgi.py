"""
ASGI entry point of stream processes: `/ws`, and `/health` and `/ready` without touching Django's URL map.

Everything else goes to Django, so that `runserver` (daphne) serves the whole site in development; in
production the admin and REST run under WSGI.
"""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rtx.settings.dev")

django_application = get_asgi_application()

from apps.accounts.checks import refuse_unsafe_settings  # noqa: E402
from apps.trading.consumers.server import StreamHealth, StreamLifespan, StreamSocket  # noqa: E402

refuse_unsafe_settings()

application = ProtocolTypeRouter(
    {
        "http": StreamHealth(django_application),
        "websocket": StreamSocket(),
        "lifespan": StreamLifespan(),
    }
)
