"""RTX app `trading`: orders, deals, positions, the account book and its executor."""
