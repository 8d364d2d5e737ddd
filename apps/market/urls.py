"""Routes of the market under `/api/`. Group-dependent symbols and quotes are served by `trading`."""

from django.urls import path

from apps.market.api.candles import CandlesView

urlpatterns = [path("candles", CandlesView.as_view())]
