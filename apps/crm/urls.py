"""Routes of crm, below `/api/`: staff's, and the webhooks of providers."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
