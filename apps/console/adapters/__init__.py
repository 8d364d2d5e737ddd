"""The outside world as the console sees it."""
