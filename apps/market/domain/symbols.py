"""A symbol's unchanging facts as the domain sees them. Pure; built by selectors from the tables."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from apps.market.domain.sessions import Calendar
from rtx.kernel import money


class MarginMode(StrEnum):
    """How margin is computed (see trading/domain/margin.py)."""

    FOREX = "forex"
    CFD = "cfd"
    CFD_LEVERAGE = "cfd_leverage"
    FIXED = "fixed"
    INDEX = "index"


class TradeMode(StrEnum):
    """What clients may do with a symbol."""

    FULL = "full"
    LONG_ONLY = "long_only"
    SHORT_ONLY = "short_only"
    CLOSE_ONLY = "close_only"
    DISABLED = "disabled"


class SwapMode(StrEnum):
    """What a swap's value means (see trading/domain/swaps.py)."""

    NONE = "none"
    POINTS = "points"
    MONEY = "money"
    PERCENT = "percent"


USUAL_SWAP_DAYS = (1, 1, 3, 1, 1, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolSpec:
    """One symbol: sizes in base units and lots, prices with `digits` decimals."""

    id: int
    name: str
    base_currency: str
    profit_currency: str
    margin_currency: str
    digits: int
    contract_size: Decimal
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal
    margin_mode: MarginMode
    margin_rate_buy: Decimal
    margin_rate_sell: Decimal
    margin_initial: Decimal
    hedged_contract_size: Decimal
    tick_size: Decimal
    tick_price: Decimal
    trade_mode: TradeMode
    quote_age_max_ms: int
    calendar: Calendar
    margin_rate_pending: Decimal = Decimal(0)
    stop_level_points: int = 0
    freeze_level_points: int = 0
    swap_mode: SwapMode = SwapMode.NONE
    swap_long: Decimal = Decimal(0)
    swap_short: Decimal = Decimal(0)
    swap_multipliers: tuple[int, ...] = USUAL_SWAP_DAYS
    description: str = ""
    asset_class: str = "forex"

    @property
    def point(self) -> Decimal:
        """The smallest price step: 10^-digits."""
        return money.quantum(self.digits)
