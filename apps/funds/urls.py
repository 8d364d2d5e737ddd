"""Routes of funds, below `/api/`: the trader's and those of staff."""

from django.urls import path

from apps.funds.api import staff, trader

urlpatterns = [
    path("funds", trader.FundsView.as_view()),
    path("funds/deposits", trader.DepositsView.as_view()),
    path("funds/withdrawals", trader.WithdrawalsView.as_view()),
    path("funds/<int:operation_id>", trader.FundView.as_view()),
    path("funds/<int:operation_id>/receipt", trader.ReceiptView.as_view()),
    path("admin/funds", staff.FundOperationsView.as_view()),
    path("admin/fund/deposit", staff.DepositView.as_view()),
    path("admin/fund/withdraw", staff.WithdrawView.as_view()),
    path("admin/fund/adjust", staff.AdjustView.as_view()),
    path("admin/fund/credit", staff.CreditView.as_view()),
    path("admin/fund/<int:operation_id>/approve", staff.ApproveView.as_view()),
    path("admin/fund/<int:operation_id>/reject", staff.RejectView.as_view()),
    path("admin/fund/<int:operation_id>/receipt", staff.StaffReceiptView.as_view()),
]
