"""Admin REST of risk."""
