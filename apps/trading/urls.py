"""Routes of the trader interface, below `/api/`."""

from django.urls import path

from apps.trading.api import accounts, orders, positions, statements

urlpatterns = [
    path("accounts", accounts.AccountsView.as_view()),
    path("accounts/<int:login>", accounts.AccountView.as_view()),
    path("symbols", accounts.SymbolsView.as_view()),
    path("symbols/<str:symbol>", accounts.SymbolView.as_view()),
    path("quotes", accounts.QuotesView.as_view()),
    path("orders/market", orders.MarketOrderView.as_view()),
    path("orders/pending", orders.PendingOrderView.as_view()),
    path("orders", orders.OrdersView.as_view()),
    path("orders/<int:order_id>", orders.OrderView.as_view()),
    path("positions", positions.PositionsView.as_view()),
    path("positions/close-by", positions.CloseByView.as_view()),
    path("positions/close-all", positions.CloseAllView.as_view()),
    path("positions/<int:position_id>", positions.PositionView.as_view()),
    path("positions/<int:position_id>/close", positions.ClosePositionView.as_view()),
    path("deals", accounts.DealsView.as_view()),
    path("events", accounts.EventsView.as_view()),
    path("statements", statements.StatementView.as_view()),
]
