"""
Admin pages of trading groups: terms, schedules and tiers are edited here, who may operate a group is set
under its object permissions.
"""

from apps.groups.admin.groups import TradingGroupAdmin
from apps.groups.admin.schedules import CommissionTierAdmin, MarginBandAdmin, MarginScheduleAdmin
from apps.groups.admin.terms import GroupSymbolAdmin

__all__ = [
    "CommissionTierAdmin",
    "GroupSymbolAdmin",
    "MarginBandAdmin",
    "MarginScheduleAdmin",
    "TradingGroupAdmin",
]
