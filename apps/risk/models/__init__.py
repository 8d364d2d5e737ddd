"""Tables of risk: controls, breakers, liquidations and margin calls, marks of accounts, alarms and sweeps."""

from apps.risk.models.alarms import MonitorStatus, RiskAlarm, SweepRun
from apps.risk.models.breakers import Breaker, BreakerChange, BreakerState
from apps.risk.models.controls import ControlsVersion, KillSwitch, RiskLimit, TradingHours
from apps.risk.models.liquidations import Liquidation, MarginCall, QueuedLiquidation
from apps.risk.models.marks import AccountRisk, AccountRiskDay, Correlation, ValueAtRisk

__all__ = [
    "AccountRisk",
    "AccountRiskDay",
    "Breaker",
    "BreakerChange",
    "BreakerState",
    "ControlsVersion",
    "Correlation",
    "KillSwitch",
    "Liquidation",
    "MarginCall",
    "MonitorStatus",
    "QueuedLiquidation",
    "RiskAlarm",
    "RiskLimit",
    "SweepRun",
    "TradingHours",
    "ValueAtRisk",
]
