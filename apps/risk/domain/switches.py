"""What kill switches and breakers stop: the platform, groups, symbols, accounts. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stops:
    """What may not add exposure now."""

    platform: bool = False
    groups: frozenset[int] = frozenset()
    symbols: frozenset[str] = frozenset()
    accounts: frozenset[int] = frozenset()

    def stops(self, *, account_id: int, group_id: int, symbol: str) -> bool:
        """Say whether an order of this account on this symbol is stopped."""
        return (
            self.platform or symbol in self.symbols or account_id in self.accounts or group_id in self.groups
        )


@dataclass(frozen=True, slots=True)
class Probe:
    """
    A half-open breaker: so many orders may pass since it opened half. `symbols` and `accounts` None: all.
    """

    state_id: int
    orders: int
    symbols: frozenset[str] | None = None
    account_id: int | None = None

    def concerns(self, *, account_id: int, symbol: str) -> bool:
        """Say whether an order would be one of its probes."""
        return self.account_id in (None, account_id) and (self.symbols is None or symbol in self.symbols)
