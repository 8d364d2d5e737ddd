"""Routes of the project itself: readiness, metrics, the API's description, and the way to the admin."""

from django.urls import path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from apps.console.api import audit, health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("ready", health.ready),
    path("metrics", health.metrics),
    path("api/admin/audit", audit.StaffLogView.as_view()),
    path("api/admin/audit/verify", audit.IntegrityView.as_view()),
    path("api/admin/approvals", audit.ApprovalsView.as_view()),
    path("api/admin/approval/<uuid:approval_id>/approve", audit.ApproveView.as_view()),
    path("api/admin/approval/<uuid:approval_id>/reject", audit.RejectView.as_view()),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
]
