"""REST of `funds`."""
