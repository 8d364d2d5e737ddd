"""REST of crm: staff's configuration and status, and the webhooks of providers."""
