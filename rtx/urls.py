"""The URL map: admin, trader and admin REST, health. Each app brings its own list."""

from django.contrib import admin
from django.urls import include, path

from apps.console.admin import sign_in
from apps.crm.urls import webhook_patterns

urlpatterns = [
    path("api/webhooks/crm/", include(webhook_patterns)),  # first: they come by the hundred a second
    path("", include("apps.console.urls")),
    path("admin/", include(sign_in.urls())),
    path("admin/", admin.site.urls),
    path("api/", include("apps.accounts.urls")),
    path("api/", include("apps.market.urls")),
    path("api/", include("apps.trading.urls")),
    path("api/", include("apps.funds.urls")),
    path("api/", include("apps.crm.urls")),
    path("api/admin/risk/", include("apps.risk.urls")),
]

handler404 = "rtx.kernel.rest.page_not_found"
handler500 = "rtx.kernel.rest.server_error"
