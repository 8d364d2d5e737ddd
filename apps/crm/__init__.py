"""RTX app `crm`: CRM connections, mapping, sync."""
