"""What all accounts hold together, as limits of a group, a symbol or the platform count it. Pure."""

from collections.abc import Mapping
from decimal import Decimal

from apps.risk.domain.order_exposure import NOTHING, Lots
from rtx.kernel.money import ZERO

Key = tuple[int, str]  # trading group, symbol


class View:
    """What one kind of total counts: lots by symbol, open lots and positions of all of them."""

    __slots__ = ("by_symbol", "open_lots", "positions")

    def __init__(self) -> None:
        self.by_symbol: dict[str, Lots] = {}
        self.open_lots: Decimal = ZERO
        self.positions = 0

    def add(self, symbol: str, lots: Lots, *, less: Lots = NOTHING) -> None:
        """Count more on a symbol, `less` what it replaces."""
        self.by_symbol[symbol] = self.by_symbol.get(symbol, NOTHING).plus(lots, minus=less)
        self.open_lots += lots.open_lots(is_netting=False) - less.open_lots(is_netting=False)
        self.positions += lots.positions - less.positions


class Totals:
    """Lots of all accounts by group and symbol, with the views that limits have asked for."""

    def __init__(self, held: Mapping[Key, Lots]) -> None:
        self._held = held
        self._changes: list[tuple[int, str, Lots, Lots]] = []
        self._views: dict[tuple[int | None, str | None], View] = {}

    @property
    def symbols(self) -> set[str]:
        """Every symbol that is held or waited for."""
        return {symbol for _, symbol in self._held}

    def view(self, *, group_id: int | None, symbol: str | None) -> View:
        """Return what accounts of a group (None: of all) hold on a symbol (None: on all)."""
        key = (group_id, symbol)
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = View()
            for (group, name), lots in self._held.items():
                if group_id in (None, group) and symbol in (None, name):
                    found.add(name, lots)
            for group, name, before, after in self._changes:
                if group_id in (None, group) and symbol in (None, name):
                    found.add(name, after, less=before)
        return found

    def change(self, *, group_id: int, symbol: str, before: Lots, after: Lots) -> None:
        """Count what an order changed."""
        self._changes.append((group_id, symbol, before, after))
        for (group, name), view in self._views.items():
            if group in (None, group_id) and name in (None, symbol):
                view.add(symbol, after, less=before)
