"""RTX app `market`: symbols, sessions, feeds, quotes, candles."""
