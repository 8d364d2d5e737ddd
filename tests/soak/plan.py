"""
What a trader does next: a seeded choice among all operations, with prices around the market. Sends nothing.
"""

import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

D = Decimal
Step = tuple[str, dict[str, Any]]
DEPOSIT, WITHDRAW, RECONNECT = "deposit", "withdraw", "reconnect"
WEIGHTS = {
    "market": 26,
    "limit": 9,
    "stop": 9,
    "stop_limit": 6,
    "modify_order": 9,
    "cancel": 6,
    "stops": 12,
    "close": 9,
    "close_part": 5,
    "close_by": 4,
    "close_all": 2,
    DEPOSIT: 2,
    WITHDRAW: 1,
    RECONNECT: 1,
}
POSITIONS_MAX = 12  # with more, traders close rather than open
DAY = "day"


@dataclass(frozen=True, slots=True)
class Contract:
    """What a trader knows of a symbol."""

    name: str
    digits: int
    lots: tuple[str, ...]
    spread: int  # points that count as near


@dataclass(slots=True)
class View:
    """What a trader believes to hold, from the account stream; may be behind."""

    positions: dict[int, dict[str, Any]] = field(default_factory=dict)
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)

    def hear(self, event: dict[str, Any]) -> None:
        """Take one event of the account stream in."""
        orders = [event["order"]] if event.get("order") else list(event.get("orders", ()))
        for order in orders:
            if order["status"] == "working":
                self.orders[order["id"]] = order
            else:
                self.orders.pop(order["id"], None)
            for deal in order["deals"]:
                if deal["entry"] in ("out", "out_by"):
                    self.positions.pop(deal["position_id"], None)
        for position in [event.get("position"), *event.get("positions", ())]:
            if position:
                self.positions[position["id"]] = position


class Plan:
    """One trader's choices. The same seed and the same view give the same step."""

    def __init__(self, *, seed: str, login: int, contracts: list[Contract], hedging: bool) -> None:
        self.random = random.Random(seed)
        self.login = login
        self.hedging = hedging
        self._contracts = {contract.name: contract for contract in contracts}
        self._count = 0

    def pause_s(self, mean_s: float) -> float:
        """Return how long the trader thinks."""
        return self.random.expovariate(1 / mean_s)

    def step(self, view: View, quotes: dict[str, tuple[Decimal, Decimal]]) -> Step | None:
        """Return the next operation with its data; None when nothing sensible can be done."""
        kind = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind in (DEPOSIT, WITHDRAW):
            return kind, {"amount": str(self.random.randint(100, 200_000) / D(100))}
        if kind == RECONNECT:
            return kind, {}
        if kind in ("market", "limit", "stop", "stop_limit") and len(view.positions) > POSITIONS_MAX:
            kind = "close"
        if kind in ("modify_order", "cancel") and not view.orders:
            kind = "limit"
        if kind in ("stops", "close", "close_part", "close_by") and not view.positions:
            kind = "market"
        known = [name for name in self._contracts if name in quotes]
        if not known:
            return None
        symbol = self._contracts[self.random.choice(known)]
        chosen = getattr(self, f"_{kind}")(view, symbol, quotes)
        return chosen if chosen is None else (chosen[0], {**chosen[1], "client_order_id": self._id(kind)})

    def _id(self, kind: str) -> str:
        self._count += 1
        return f"soak-{kind}-{self._count}"

    def _near(self, contract: Contract, price: Decimal, points: int) -> str:
        return str(price + points * D(1).scaleb(-contract.digits))

    def _opening(self, contract: Contract, **more: Any) -> dict[str, Any]:
        return {
            "account": self.login,
            "symbol": contract.name,
            "side": self.random.choice(("buy", "sell")),
            "volume": self.random.choice(contract.lots),
            **more,
        }

    def _distance(self, contract: Contract, *, least: int = 2, most: int = 12) -> int:
        return self.random.randint(least * contract.spread, most * contract.spread)

    def _stops_of(self, contract: Contract, side: str, price: Decimal, *, trailing: bool) -> dict[str, Any]:
        """Return a stop loss, a take profit, a trailing distance: any of them, or none."""
        sign = 1 if side == "buy" else -1
        found: dict[str, Any] = {}
        if self.random.random() < 0.5:
            found["stop_loss"] = self._near(contract, price, -sign * self._distance(contract))
        if self.random.random() < 0.5:
            found["take_profit"] = self._near(contract, price, sign * self._distance(contract))
        if trailing and self.random.random() < 0.4:
            found["trailing_points"] = self._distance(contract)
        return found

    def _market(self, view: View, contract: Contract, quotes: Any) -> Step:
        data = self._opening(contract)
        bid, ask = quotes[contract.name]
        price = ask if data["side"] == "buy" else bid
        if self.random.random() < 0.3:
            data |= {"price": str(price), "deviation": self.random.randint(0, 3 * contract.spread)}
        return "order.market", data | self._stops_of(contract, data["side"], price, trailing=False)

    def _pending(self, contract: Contract, quotes: Any, type_: str, *, above_for_buy: bool) -> Step:
        data = self._opening(contract, type=type_)
        bid, ask = quotes[contract.name]
        is_buy = data["side"] == "buy"
        sign = 1 if is_buy is above_for_buy else -1
        points = sign * self._distance(contract, least=1, most=8)
        price = D(self._near(contract, ask if is_buy else bid, points))
        data["price"] = str(price)
        if type_ == "stop_limit":
            data["stop_limit_price"] = self._near(contract, price, -sign * contract.spread)
        if type_ == "limit" and self.random.random() < 0.2:
            data["time_in_force"] = self.random.choice(("ioc", "fok"))
        elif self.random.random() < 0.2:
            data["time_in_force"] = DAY
        return "order.pending", data | self._stops_of(contract, data["side"], price, trailing=True)

    def _limit(self, view: View, contract: Contract, quotes: Any) -> Step:
        return self._pending(contract, quotes, "limit", above_for_buy=False)

    def _stop(self, view: View, contract: Contract, quotes: Any) -> Step:
        return self._pending(contract, quotes, "stop", above_for_buy=True)

    def _stop_limit(self, view: View, contract: Contract, quotes: Any) -> Step:
        return self._pending(contract, quotes, "stop_limit", above_for_buy=True)

    def _modify_order(self, view: View, contract: Contract, quotes: Any) -> Step | None:
        order = view.orders[self.random.choice(sorted(view.orders))]
        contract = self._contracts[order["symbol"]]
        if order["symbol"] not in quotes or order["type"] == "stop_limit":
            return "order.modify", {"order_id": order["id"], "volume": self.random.choice(contract.lots)}
        bid, ask = quotes[order["symbol"]]
        is_buy = order["side"] == "buy"
        sign = 1 if is_buy is (order["type"] == "stop") else -1
        price = self._near(contract, ask if is_buy else bid, sign * self._distance(contract))
        return "order.modify", {"order_id": order["id"], "price": price}

    def _cancel(self, view: View, contract: Contract, quotes: Any) -> Step:
        return "order.cancel", {"order_id": self.random.choice(sorted(view.orders))}

    def _stops(self, view: View, contract: Contract, quotes: Any) -> Step | None:
        held = view.positions[self.random.choice(sorted(view.positions))]
        contract = self._contracts[held["symbol"]]
        if held["symbol"] not in quotes:
            return None
        bid, ask = quotes[held["symbol"]]
        price = bid if held["side"] == "buy" else ask
        changes = self._stops_of(contract, held["side"], price, trailing=True)
        return "position.modify", {"position_id": held["id"], **(changes or {"take_profit": None})}

    def _close(self, view: View, contract: Contract, quotes: Any) -> Step:
        return "position.close", {"position_id": self.random.choice(sorted(view.positions))}

    def _close_part(self, view: View, contract: Contract, quotes: Any) -> Step:
        held = view.positions[self.random.choice(sorted(view.positions))]
        return "position.close", {"position_id": held["id"], "volume": "0.01"}

    def _close_by(self, view: View, contract: Contract, quotes: Any) -> Step | None:
        for held in view.positions.values():
            for other in view.positions.values():
                if held["symbol"] == other["symbol"] and held["side"] != other["side"]:
                    return "position.close_by", {"position_id": held["id"], "opposite_id": other["id"]}
        return self._market(view, contract, quotes)

    def _close_all(self, view: View, contract: Contract, quotes: Any) -> Step:
        one = {"symbol": contract.name} if self.random.random() < 0.5 else {}
        return "position.close_all", {"account": self.login, **one}
