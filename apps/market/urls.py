"""Routes of the market under `/api/`. Group-dependent symbols and quotes are served by `trading`."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
