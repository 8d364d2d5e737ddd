"""The audit's ways to the outside world."""
