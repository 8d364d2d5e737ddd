"""Routes of crm, below `/api/`: staff's, and the webhooks of providers."""

from django.urls import path

from apps.crm.api import webhooks

urlpatterns = [
    path("webhooks/crm/hubspot", webhooks.HubSpotView.as_view()),
    path("webhooks/crm/salesforce", webhooks.SalesforceView.as_view()),
    path("webhooks/crm/salesforce/<str:secret>", webhooks.SalesforceView.as_view()),
    path("webhooks/crm/zoho", webhooks.ZohoView.as_view()),
]
