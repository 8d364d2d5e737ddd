"""Routes of the trader interface and of dealing by staff, below `/api/`."""

from django.urls import path

from apps.trading.api import (
    accounts,
    orders,
    positions,
    staff_accounts,
    staff_orders,
    staff_positions,
    statements,
)

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
    path("admin/account/<int:login>", staff_accounts.StaffAccountView.as_view()),
    path("admin/order/create", staff_orders.StaffNewOrderView.as_view()),
    path("admin/order/<int:order_id>", staff_orders.StaffOrderView.as_view()),
    path("admin/orders", staff_orders.StaffOrdersView.as_view()),
    path("admin/positions", staff_positions.StaffPositionsView.as_view()),
    path("admin/position/<int:position_id>/close", staff_positions.StaffClosePositionView.as_view()),
    path("admin/position/<int:position_id>/modify", staff_positions.StaffModifyPositionView.as_view()),
    path("admin/position/<int:position_id>/reverse", staff_positions.StaffReversePositionView.as_view()),
    path("statements", statements.StatementView.as_view()),
]
