"""The outside of crm: one interface (`provider`), one way to call (`session`), one adapter per provider."""
