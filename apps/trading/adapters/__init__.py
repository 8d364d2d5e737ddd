"""The outside world of trading: files that leave the house. Knows no service."""
