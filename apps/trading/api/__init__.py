"""Trader REST of trading: translate in, one call, translate out."""
