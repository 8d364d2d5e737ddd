"""RTX app `liquidity`: liquidity providers, routing, hedges, markout."""
