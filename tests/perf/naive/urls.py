"""The one URL of the baseline, at the path of the real one, and the liveness check."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.perf.naive.views import MarketOrderView


def health(request: HttpRequest) -> HttpResponse:
    """Answer that the process lives."""
    return HttpResponse(b"ok")


urlpatterns = [
    path("health", health),
    path("api/orders/market", MarketOrderView.as_view()),
]
