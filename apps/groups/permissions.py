"""Rights on trading groups besides Django's own. Who has them stands with the roles."""

CHANGE_GROUP = "groups.change_tradinggroup"
APPROVE_STOP_OUT = "groups.approve_stop_out"
