"""Routes of crm: staff's below `/api/`, and the webhooks of providers below `/api/webhooks/crm/`."""

from django.urls import path

from apps.crm.api import staff, sync, webhooks

webhook_patterns = [
    path("hubspot", webhooks.HubSpotView.as_view()),
    path("salesforce", webhooks.SalesforceView.as_view()),
    path("salesforce/<path:secret>", webhooks.SalesforceMessageView.as_view()),
    path("zoho", webhooks.ZohoView.as_view()),
]
urlpatterns = [
    path("admin/crm/config", staff.NewConfigView.as_view()),
    path("admin/crm/configs", staff.ConfigsView.as_view()),
    path("admin/crm/config/<int:config_id>", staff.ConfigView.as_view()),
    path("admin/crm/test/<int:config_id>", staff.TestView.as_view()),
    path("admin/crm/oauth/start", staff.OAuthStartView.as_view()),
    path("admin/crm/oauth/callback", staff.OAuthCallbackView.as_view(), name="crm_oauth_callback"),
    path("admin/crm/sync/status", sync.StatusView.as_view()),
    path("admin/crm/sync/trigger", sync.TriggerView.as_view()),
    path("admin/crm/sync/history", sync.HistoryView.as_view()),
    path("admin/crm/sync/<int:run_id>/cancel", sync.CancelView.as_view()),
    path("admin/crm/mappings", sync.MappingsView.as_view()),
    path("admin/crm/dead-letters", sync.DeadLettersView.as_view()),
    path("admin/crm/dead-letter/<int:dead_letter_id>/replay", sync.ReplayView.as_view()),
]
