"""RTX apps, one stack: each imports only those to its left (see README)."""
