"""Admin pages of risk."""

from apps.risk.admin.accounts import AccountRiskAdmin, AccountRiskDayAdmin
from apps.risk.admin.alarms import RiskAlarmAdmin, SweepRunAdmin
from apps.risk.admin.breakers import BreakerAdmin, BreakerChangeAdmin, BreakerStateAdmin
from apps.risk.admin.controls import KillSwitchAdmin, RiskLimitAdmin, TradingHoursAdmin
from apps.risk.admin.estimates import CorrelationAdmin, ValueAtRiskAdmin
from apps.risk.admin.liquidations import LiquidationAdmin, QueuedLiquidationAdmin
from apps.risk.admin.monitor import MarginCallAdmin, MonitorStatusAdmin
from apps.risk.admin.versions import ControlsVersionAdmin

__all__ = [
    "AccountRiskAdmin",
    "AccountRiskDayAdmin",
    "BreakerAdmin",
    "BreakerChangeAdmin",
    "BreakerStateAdmin",
    "ControlsVersionAdmin",
    "CorrelationAdmin",
    "KillSwitchAdmin",
    "LiquidationAdmin",
    "MarginCallAdmin",
    "MonitorStatusAdmin",
    "QueuedLiquidationAdmin",
    "RiskAlarmAdmin",
    "RiskLimitAdmin",
    "SweepRunAdmin",
    "TradingHoursAdmin",
    "ValueAtRiskAdmin",
]
