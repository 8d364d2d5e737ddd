"""
Admin pages of trading: accounts with their figures, orders, deals, positions and swaps. Operated, never
edited.
"""

from apps.trading.admin.accounts import TradingAccountAdmin
from apps.trading.admin.orders import DealAdmin, OrderAdmin
from apps.trading.admin.positions import PositionAdmin
from apps.trading.admin.rollover import RolloverDayAdmin
from apps.trading.admin.swaps import SwapChargeAdmin

__all__ = [
    "DealAdmin",
    "OrderAdmin",
    "PositionAdmin",
    "RolloverDayAdmin",
    "SwapChargeAdmin",
    "TradingAccountAdmin",
]
