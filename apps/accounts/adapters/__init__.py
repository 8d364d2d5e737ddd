"""The outside world: sheets of rows that come in and go out, and what libraries ask us."""
