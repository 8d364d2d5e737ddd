"""What the market changes: the engine, its feed, candles, tick storage, the quote board."""
