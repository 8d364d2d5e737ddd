"""Rights on trading groups besides Django's own. Who has them stands with the roles."""

APPROVE_STOP_OUT = "groups.approve_stop_out"
