"""Look and navigation of the admin (django-unfold). No secrets, no behavior."""

from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

UNFOLD = {
    "SITE_TITLE": "RTX",
    "SITE_HEADER": "RTX",
    "SITE_SUBHEADER": _("Broker back-office"),
    "SITE_SYMBOL": "candlestick_chart",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": [
            {"items": [{"title": _("Dashboard"), "icon": "monitoring", "link": reverse_lazy("admin:index")}]},
        ],
    },
}
