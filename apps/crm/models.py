"""Tables of `crm`: none yet."""
