"""
The broker's REST interface, one method per call. Sends what it is given: what is allowed, the broker says.

Prices and volumes are Decimal, int or text, never float: a float is not the number that was typed.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import httpx

from rtx_client.models import (
    Account,
    Candle,
    Closed,
    Deal,
    Event,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Quote,
    Side,
    Symbol,
    TimeInForce,
    Tokens,
)
from rtx_client.transport import Transport, decoded
from rtx_client.values import KEEP, Keep, Number, body_of, changes_of, new_id, number_text, text_of


class RtxClient:
    """
    One user's connection to a broker.

    Requests that meet `503`, `429` or a broken connection are repeated up to `attempts` times with the same
    ids; an expired access token is refreshed once. When the broker asks to wait longer than `wait_max_s`, as
    after too many failed logins, its answer is raised at once: `retry_after_s` says how long.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 15.0,
        attempts: int = 4,
        pause_s: float = 0.2,
        wait_max_s: float = 10.0,
        transport: httpx.BaseTransport | None = None,
        **options: Callable[..., Any],
    ) -> None:
        self._transport = Transport(
            base_url,
            timeout_s=timeout_s,
            attempts=attempts,
            pause_s=pause_s,
            wait_max_s=wait_max_s,
            transport=transport,
            **options,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The login lasts; `logout` ends it."""
        self._transport.close()

    def _get(self, path: str, **query: str | int | None) -> Any:
        return decoded(self._transport.send("GET", path, query=query))

    def _send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return decoded(self._transport.send(method, path, body=body))

    # -- logging in

    def login(self, email: str, password: str, *, otp: str | None = None) -> Tokens:
        """
        Log in; the tokens are kept and refreshed by themselves.

        :raises NotAuthenticated: e-mail, password or code is wrong.
        :raises RateLimited: too many failed; `retry_after_s` says for how long.
        """
        body = body_of(email=email, password=password, otp=otp)
        answer = self._transport.send("POST", "/api/auth/login", body=body, is_open=True)
        self._transport.tokens = Tokens.read(decoded(answer))
        return self._transport.tokens

    def use(self, tokens: Tokens) -> None:
        """Go on with a login that was kept."""
        self._transport.tokens = tokens

    def refresh(self) -> Tokens:
        """Get the next pair of tokens now."""
        return self._transport.refresh()

    def logout(self) -> None:
        """End the login."""
        self._transport.send("POST", "/api/auth/logout", body={})
        self._transport.tokens = None

    def ws_ticket(self) -> str:
        """Return a ticket that opens one WebSocket within 30 seconds; for `RtxStream`."""
        return str(self._send("POST", "/api/auth/ws-ticket", {})["ticket"])

    # -- reading

    def accounts(self) -> list[Account]:
        """Return the user's accounts at the present prices."""
        return [Account.read(one) for one in self._get("/api/accounts")["results"]]

    def account(self, login: int) -> Account:
        """Return one account at the present prices."""
        return Account.read(self._get(f"/api/accounts/{login}"))

    def symbols(self, *, account: int | None = None) -> list[Symbol]:
        """Return what the account's group trades."""
        return [Symbol.read(one) for one in self._get("/api/symbols", account=account)["results"]]

    def symbol(self, name: str, *, account: int | None = None) -> Symbol:
        """Return one symbol with the terms of the account's group."""
        return Symbol.read(self._get(f"/api/symbols/{name}", account=account))

    def quotes(self, *symbols: str, account: int | None = None) -> list[Quote]:
        """Return the present prices of the account's group: of these symbols, or of all."""
        names = ",".join(symbols) or None
        return [
            Quote.read(one) for one in self._get("/api/quotes", symbols=names, account=account)["results"]
        ]

    def candles(
        self, symbol: str, interval: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Candle]:
        """Yield candles, newest first: `1m` to `1d`."""
        query = {"symbol": symbol, "interval": interval, "from": text_of(since), "to": text_of(until)}
        return map(Candle.read, self._transport.pages("/api/candles", query))

    def orders(
        self,
        *,
        account: int | None = None,
        status: OrderStatus | str | None = None,
        type: OrderType | str | None = None,
        symbol: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Order]:
        """Yield orders, newest first."""
        query = {
            "account": account,
            "status": status,
            "type": type,
            "symbol": symbol,
            "from": text_of(since),
            "to": text_of(until),
        }
        return map(Order.read, self._transport.pages("/api/orders", query))

    def order(self, order_id: int) -> Order:
        """Return one order with its deals."""
        return Order.read(self._get(f"/api/orders/{order_id}"))

    def positions(self, *, account: int | None = None) -> list[Position]:
        """Return open positions, oldest first, at the present prices."""
        return [Position.read(one) for one in self._get("/api/positions", account=account)["results"]]

    def position(self, position_id: int) -> Position:
        """Return one open position at the present prices."""
        return Position.read(self._get(f"/api/positions/{position_id}"))

    def deals(
        self,
        *,
        account: int | None = None,
        symbol: str | None = None,
        position_id: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Deal]:
        """Yield deals, newest first."""
        query = {
            "account": account,
            "symbol": symbol,
            "position_id": position_id,
            "from": text_of(since),
            "to": text_of(until),
        }
        return map(Deal.read, self._transport.pages("/api/deals", query))

    def events(self, account: int, *, since: int = 0) -> Iterator[Event]:
        """Yield the account's journal after event `since`, in order, up to its present end."""
        return map(Event.read, self._transport.pages("/api/events", {"account": account, "since": since}))

    def statement(
        self, account: int, *, since: datetime | date | str, until: datetime | date | str
    ) -> dict[str, Any]:
        """Return the statement of a period as the broker tells it; a date `until` is included."""
        found: dict[str, Any] = self._get(
            "/api/statements", account=account, **{"from": text_of(since), "to": text_of(until)}
        )
        return found

    def statement_file(
        self,
        account: int,
        *,
        since: datetime | date | str,
        until: datetime | date | str,
        format: str = "pdf",
    ) -> bytes:
        """Return the statement of a period as a file: `pdf` or `csv`."""
        query = {"account": account, "from": text_of(since), "to": text_of(until), "format": format}
        return self._transport.send("GET", "/api/statements", query=query).content

    # -- orders

    def place_market(
        self,
        account: int,
        symbol: str,
        side: Side | str,
        volume: Number,
        *,
        client_order_id: str | None = None,
        price: Number | None = None,
        deviation: int | None = None,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        comment: str | None = None,
    ) -> Order:
        """Buy or sell at the market; a refusal is an order with status `rejected` and a reason."""
        body = body_of(
            account=account,
            symbol=symbol,
            side=side,
            volume=number_text(volume),
            client_order_id=client_order_id or new_id(),
            price=number_text(price),
            deviation=deviation,
            stop_loss=number_text(stop_loss),
            take_profit=number_text(take_profit),
            comment=comment,
        )
        return Order.read(self._send("POST", "/api/orders/market", body))

    def place_pending(
        self,
        account: int,
        symbol: str,
        side: Side | str,
        volume: Number,
        *,
        type: OrderType | str,
        price: Number,
        client_order_id: str | None = None,
        stop_limit_price: Number | None = None,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        trailing_points: int | None = None,
        time_in_force: TimeInForce | str | None = None,
        expires_at: datetime | None = None,
        comment: str | None = None,
    ) -> Order:
        """Leave a limit, stop or stop limit order; a refusal is an order with status `rejected`."""
        body = body_of(
            account=account,
            symbol=symbol,
            side=side,
            type=type,
            volume=number_text(volume),
            price=number_text(price),
            client_order_id=client_order_id or new_id(),
            stop_limit_price=number_text(stop_limit_price),
            stop_loss=number_text(stop_loss),
            take_profit=number_text(take_profit),
            trailing_points=trailing_points,
            time_in_force=time_in_force,
            expires_at=expires_at,
            comment=comment,
        )
        return Order.read(self._send("POST", "/api/orders/pending", body))

    def modify_order(
        self,
        order_id: int,
        *,
        volume: Decimal | str | Keep = KEEP,
        price: Decimal | str | Keep = KEEP,
        stop_limit_price: Decimal | str | Keep = KEEP,
        stop_loss: Decimal | str | Keep | None = KEEP,
        take_profit: Decimal | str | Keep | None = KEEP,
        trailing_points: int | Keep | None = KEEP,
        time_in_force: TimeInForce | str | Keep = KEEP,
        expires_at: datetime | Keep | None = KEEP,
        client_order_id: str | None = None,
    ) -> Order:
        """
        Change a working order; None removes a value.

        :raises ChangeRefused: a rule refused it; `code` is the reason.
        :raises OrderNotWorking: it is final.
        """
        body = changes_of(
            volume=volume,
            price=price,
            stop_limit_price=stop_limit_price,
            stop_loss=stop_loss,
            take_profit=take_profit,
            trailing_points=trailing_points,
            time_in_force=time_in_force,
            expires_at=expires_at,
        )
        body["client_order_id"] = client_order_id or new_id()
        return Order.read(self._send("PATCH", f"/api/orders/{order_id}", body))

    def cancel_order(self, order_id: int, *, key: str | None = None) -> Order:
        """
        Take a working order back; one that is canceled already is returned as it is.

        :raises OrderNotWorking: it ended in another way.
        """
        headers = {"Idempotency-Key": key or new_id()}
        return Order.read(decoded(self._transport.send("DELETE", f"/api/orders/{order_id}", headers=headers)))

    # -- positions

    def modify_position(
        self,
        position_id: int,
        *,
        stop_loss: Decimal | str | Keep | None = KEEP,
        take_profit: Decimal | str | Keep | None = KEEP,
        trailing_points: int | Keep | None = KEEP,
        client_order_id: str | None = None,
    ) -> Position:
        """
        Change a position's stops; None removes one.

        :raises ChangeRefused: a rule refused it; `code` is the reason.
        """
        body = changes_of(stop_loss=stop_loss, take_profit=take_profit, trailing_points=trailing_points)
        body["client_order_id"] = client_order_id or new_id()
        return Position.read(self._send("PATCH", f"/api/positions/{position_id}", body))

    def close_position(
        self, position_id: int, *, volume: Number | None = None, client_order_id: str | None = None
    ) -> Order:
        """Close a position at the market, or `volume` lots of it."""
        body = body_of(volume=number_text(volume), client_order_id=client_order_id or new_id())
        return Order.read(self._send("POST", f"/api/positions/{position_id}/close", body))

    def close_by(self, position_id: int, opposite_id: int, *, client_order_id: str | None = None) -> Order:
        """Close a position by an opposite one: the smaller volume leaves both."""
        body = body_of(
            position_id=position_id, opposite_id=opposite_id, client_order_id=client_order_id or new_id()
        )
        return Order.read(self._send("POST", "/api/positions/close-by", body))

    def close_all(
        self, account: int, *, symbol: str | None = None, client_order_id: str | None = None
    ) -> Closed:
        """Close every position of an account, or of one symbol; what stays open is in `failed`."""
        body = body_of(account=account, symbol=symbol, client_order_id=client_order_id or new_id())
        return Closed.read(self._send("POST", "/api/positions/close-all", body))
