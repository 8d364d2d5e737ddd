"""Routes of the admin interface of risk, below `/api/admin/risk/`."""

from django.urls import path

from apps.risk.api import controls, figures, records

urlpatterns = [
    path("exposure", figures.ExposureView.as_view()),
    path("what-if", figures.WhatIfView.as_view()),
    path("value-at-risk", figures.ValueAtRiskView.as_view()),
    path("correlations", figures.CorrelationsView.as_view()),
    path("account/<int:login>", figures.AccountAnalyticsView.as_view()),
    path("market-open", figures.MarketOpenView.as_view()),
    path("margin", records.MarginView.as_view()),
    path("liquidations", records.LiquidationsView.as_view()),
    path("liquidations/<int:liquidation_id>", records.LiquidationView.as_view()),
    path("limits", records.LimitsView.as_view()),
    path("alarms", records.AlarmsView.as_view()),
    path("sweeps", records.SweepsView.as_view()),
    path("monitor", records.MonitorView.as_view()),
    path("kill-switch", controls.KillSwitchView.as_view()),
    path("breakers", controls.BreakersView.as_view()),
    path("breaker/<int:state_id>/reset", controls.BreakerResetView.as_view()),
]
