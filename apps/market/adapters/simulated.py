"""
The simulated feed: made-up prices that behave like a market, always marked as simulated.

Per asset class: a yearly volatility shaped by the hour of the day and by slow regimes, rare jumps, a spread
that widens after jumps and in thin hours, a weak pull towards a reference price, several ticks a second. The
generator is handed in; the same one gives the same ticks, however often the feed is asked. Floats never leave
this module.
"""

import math
import random
from dataclasses import dataclass
from decimal import Decimal

from apps.market.adapters.feed import RawTick
from apps.market.domain.symbols import SymbolSpec

YEAR_S = 365.0 * 86_400
PULL_HALF_LIFE_S = 3 * 86_400.0  # back to the reference price
REGIME_HALF_LIFE_S = 1_800.0  # back to usual volatility
REGIME_SPREAD = 0.35  # standard deviation of the regime, in log volatility
CALM_HALF_LIFE_S = 20.0  # how fast a spread narrows after a jump
SLEEP_MS = 2_000  # a feed that was not asked for so long does not catch up, it goes on from now

# Activity by hour UTC: Asia quiet, London and New York busy, thin around the rollover.
_FOREX_DAY = (5, 5, 5, 4, 4, 5, 7, 10, 12, 12, 11, 10, 12, 15, 16, 15, 12, 10, 8, 7, 6, 3, 4, 5)
_STOCK_DAY = (3, 3, 3, 3, 3, 3, 4, 8, 8, 7, 6, 6, 7, 14, 18, 14, 11, 10, 11, 15, 8, 4, 3, 3)
_FLAT_DAY = (9, 9, 8, 8, 8, 8, 9, 9, 10, 10, 10, 10, 11, 12, 13, 12, 11, 11, 10, 10, 10, 9, 9, 9)


@dataclass(frozen=True, slots=True)
class Model:
    """How a symbol moves. Volatility is per year; the spread is in hundred-thousandths of the price."""

    volatility: float
    spread_e5: float
    ticks_per_s: float
    jumps_per_day: float
    day: tuple[int, ...]
    price: float = 0.0


CLASSES = {
    "forex": Model(0.075, 7.0, 3.0, 3.0, _FOREX_DAY, 1.0),
    "metal": Model(0.16, 11.0, 4.0, 4.0, _FOREX_DAY, 1000.0),
    "index": Model(0.17, 8.0, 3.0, 4.0, _STOCK_DAY, 10_000.0),
    "crypto": Model(0.60, 6.0, 5.0, 8.0, _FLAT_DAY, 1000.0),
    "stock": Model(0.28, 15.0, 2.0, 4.0, _STOCK_DAY, 100.0),
    "commodity": Model(0.35, 35.0, 2.0, 5.0, _FOREX_DAY, 75.0),
}
PRICES = {
    "EURUSD": 1.0850, "GBPUSD": 1.2700, "USDJPY": 151.20, "NZDUSD": 0.6050, "EURGBP": 0.8543,
    "USDCHF": 0.8830, "AUDUSD": 0.6620, "USDCAD": 1.3580, "EURJPY": 164.05, "GBPJPY": 192.02,
    "EURCHF": 0.9580, "EURAUD": 1.6390, "XAUUSD": 2330.0, "XAGUSD": 28.40, "DE30EUR": 18_350.0,
    "US500": 5_250.0, "US30": 39_100.0, "US100": 18_400.0, "BTCUSD": 67_500.0, "ETHUSD": 3_450.0,
    "AAPL": 189.50, "MSFT": 420.0, "WTI": 78.40, "BRENT": 82.60,
}  # fmt: skip


def model_of(spec: SymbolSpec) -> Model:
    """Return the model of a symbol's asset class with the symbol's reference price."""
    base = CLASSES.get(spec.asset_class, CLASSES["forex"])
    price = PRICES.get(spec.name)
    if price is None and spec.asset_class == "forex" and spec.profit_currency == "JPY":
        price = 150.0
    return Model(
        base.volatility, base.spread_e5, base.ticks_per_s, base.jumps_per_day, base.day, price or base.price
    )


class SimulatedFeed:
    """The simulated prices of one symbol."""

    provider = "simulated"
    is_simulated = True

    def __init__(
        self,
        *,
        spec: SymbolSpec,
        generator: random.Random,
        start_ms: int,
        start_bid: Decimal | None = None,
        speed: float = 1.0,
    ) -> None:
        self._model = model_of(spec)
        self._generator = generator
        self._digits = spec.digits
        self._points = 10.0**spec.digits
        self._speed = speed
        self._anchor = math.log(self._model.price)
        self._log_price = math.log(float(start_bid)) if start_bid else self._anchor
        self._regime = generator.gauss(0.0, REGIME_SPREAD)
        self._stress = 0.0
        self._mean_day = sum(self._model.day) / 24
        self._last_ms = start_ms
        self._due_ms = start_ms

    def next_due_ms(self) -> int:
        """Return when the next tick is due."""
        return self._due_ms

    def take(self, now_ms: int) -> list[RawTick]:
        """Return the ticks that fell due up to now."""
        if now_ms - self._due_ms > SLEEP_MS:
            self._due_ms = now_ms
        ticks = []
        while self._due_ms <= now_ms:
            ticks.append(self._tick(self._due_ms))
            self._due_ms += self._pause_ms()
        return ticks

    def _pause_ms(self) -> int:
        rate = self._model.ticks_per_s * self._activity(self._last_ms) * self._speed
        return max(1, min(5_000, round(self._generator.expovariate(rate) * 1000)))

    def _activity(self, time_ms: int) -> float:
        return self._model.day[time_ms // 3_600_000 % 24] / self._mean_day

    def _tick(self, time_ms: int) -> RawTick:
        draw, model = self._generator, self._model
        elapsed_s = max(0.001, (time_ms - self._last_ms) / 1000 * self._speed)
        self._last_ms = time_ms
        activity = self._activity(time_ms)
        keep = 0.5 ** (elapsed_s / REGIME_HALF_LIFE_S)
        self._regime = self._regime * keep + draw.gauss(0.0, REGIME_SPREAD * math.sqrt(1 - keep * keep))
        self._stress *= 0.5 ** (elapsed_s / CALM_HALF_LIFE_S)
        sigma = model.volatility * math.sqrt(activity) * math.exp(self._regime)
        step = draw.gauss(0.0, sigma * math.sqrt(elapsed_s / YEAR_S))
        if draw.random() < model.jumps_per_day * elapsed_s / 86_400:
            step += draw.choice((-1, 1)) * draw.uniform(4, 12) * model.volatility * math.sqrt(60 / YEAR_S)
            self._stress = draw.uniform(2, 5)
        pull = 1 - 0.5 ** (elapsed_s / PULL_HALF_LIFE_S)
        self._log_price += step + (self._anchor - self._log_price) * pull
        middle = math.exp(self._log_price)
        thin = min(3.0, 1 / math.sqrt(activity))
        spread = (
            middle * model.spread_e5 * 1e-5 * max(0.8, thin) * (1 + self._stress) * draw.uniform(0.85, 1.2)
        )
        spread_points = max(1, round(spread * self._points))
        bid_points = max(1, round(middle * self._points - spread_points / 2))
        return RawTick(
            time_ms=time_ms,
            bid=Decimal(bid_points).scaleb(-self._digits),
            ask=Decimal(bid_points + spread_points).scaleb(-self._digits),
        )
