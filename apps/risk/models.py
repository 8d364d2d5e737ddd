"""Tables of `risk`: none yet."""
