"""RTX app `accounts`: users, clients, trading accounts, journal and ledger."""
