"""Admin pages of risk."""
