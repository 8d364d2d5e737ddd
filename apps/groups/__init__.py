"""RTX app `groups`: trading groups, their terms and price profiles."""
