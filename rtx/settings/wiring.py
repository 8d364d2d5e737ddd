"""
What upper apps plug into lower ones, by dotted path: the lower app defines the protocol.
"""

# What the engine hosts, what guards an order, and where orders are filled: dotted paths, the upper app
# implements.
ENGINE_SERVICES: list[str] = [
    "apps.market.services.feeding.FeedService",
    "apps.trading.services.triggering.TriggerService",
    "apps.risk.services.monitor.MonitorService",
    "apps.risk.services.liquidation_queue.LiquidationQueueService",
    "apps.risk.services.control_work.ControlService",
]
REACH = "apps.accounts.selectors.reach.group_ids"
# What looks at every change of symbols, groups and terms before it is committed, in this order.
TERMS_CHECKS: list[str] = [
    "apps.risk.services.terms_check.WhatIfCheck",
    "apps.groups.services.stop_out.SecondPersonCheck",
]
TRADING_GUARDS: list[str] = [
    "apps.risk.guards.KillSwitchGuard",
    "apps.risk.guards.BreakerGuard",
    "apps.risk.guards.TradingHoursGuard",
    "apps.risk.guards.LimitsGuard",
]

# What upper apps keep sealed by the master key (name and function): sealed anew by `manage.py rewrap_keys`.
SEALED_SECRETS: dict[str, str] = {"CRM connections": "apps.crm.services.sealing.rewrap"}

# Tabs of the account's page, and what must not be left when an account ends or a client is erased.
ACCOUNT_TABS: list[str] = [
    "apps.funds.admin.account_tabs.operations",
    "apps.risk.admin.account_tabs.margin_calls",
    "apps.risk.admin.account_tabs.liquidations",
]
CLOSING_CHECKS: list[str] = [
    "apps.trading.services.closing_accounts.still_trading",
    "apps.accounts.selectors.accounts.still_owning",
    "apps.funds.selectors.operations.still_asked",
]
