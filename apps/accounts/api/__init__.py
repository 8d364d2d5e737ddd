"""REST interface of accounts: translate in, one call, translate out."""
