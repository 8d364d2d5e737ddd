"""Writes of crm: connections and tokens, outbox, pushing, pulling, runs, webhooks, dead letters."""
