"""Tables of `funds`: none yet."""
