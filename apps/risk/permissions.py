"""Names of the rights that controls ask for. Who carries them: apps/accounts/permissions.py."""

ENGAGE_KILL_SWITCH = "risk.engage_killswitch"
ENGAGE_PLATFORM_KILL_SWITCH = "risk.engage_platform_killswitch"
RELEASE_KILL_SWITCH = "risk.release_killswitch"
ACKNOWLEDGE_ALARM = "risk.acknowledge_riskalarm"
RETRY_LIQUIDATION = "risk.change_queuedliquidation"
RESET_BREAKER = "risk.reset_breaker"
WITHIN_REACH = frozenset({"group", "account"})  # scopes that belong to a trading group


def rights_to_reset(account_id: int | None) -> tuple[str, ...]:
    """Return the rights that resetting a breaker asks for: one of no account concerns everyone."""
    return (RESET_BREAKER,) if account_id is not None else (RESET_BREAKER, ENGAGE_PLATFORM_KILL_SWITCH)


def right_to_engage(scope: str) -> str:
    """Return the right that stopping trading in a scope asks for; reach is looked at besides."""
    return ENGAGE_KILL_SWITCH if scope in WITHIN_REACH else ENGAGE_PLATFORM_KILL_SWITCH
