"""Tables of `audit`: none yet."""
