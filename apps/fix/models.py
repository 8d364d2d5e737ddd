"""Tables of `fix`: none yet."""
