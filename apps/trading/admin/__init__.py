"""
Admin pages of trading: accounts with their figures, orders, deals and positions. Operated, never edited.
"""

from apps.trading.admin.accounts import TradingAccountAdmin
from apps.trading.admin.orders import DealAdmin, OrderAdmin
from apps.trading.admin.positions import PositionAdmin

__all__ = ["DealAdmin", "OrderAdmin", "PositionAdmin", "TradingAccountAdmin"]
