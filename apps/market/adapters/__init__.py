"""The outside world of the market: feeds and the Redis bus. Knows no service."""
