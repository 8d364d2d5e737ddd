"""Tables of `liquidity`: none yet."""
