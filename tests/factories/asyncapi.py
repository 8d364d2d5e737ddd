"""
Writes `docs/asyncapi.yaml` from the structs that the stream reads and answers with: `python -m
tests.factories.asyncapi`. A test compares the file with what this module describes.
"""

from typing import Any

import django
import yaml

from rtx.local.home import REPOSITORY

PATH = REPOSITORY / "docs" / "asyncapi.yaml"
CHANNEL = {"$ref": "#/channels/ws"}
ID = {
    "description": "Repeated by the reply.",
    "oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 64}],
}
INSTANT_MS = {"type": "integer", "description": "Milliseconds since the epoch."}
PRICE = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
SYMBOLS = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 500}
INTERVAL = {"type": "string", "description": "1m to 1d, as GET /api/candles has them."}
ACCOUNT = {"type": "integer", "description": "Login of one of the caller's accounts."}

CLOSE_CODES = {
    1009: "A frame of more than 64 KB.",
    1011: "A fault on our side, or a ping that was not answered: reconnect.",
    1012: "The server restarts, or logins cannot be checked right now: reconnect after a random pause.",
    4401: "No valid ticket or token: get a new one.",
    4403: "The page or the path is not allowed.",
    4408: "No authentication within 5 seconds.",
    4409: "Too slow: 1 MB waited, or nothing was read for 30 seconds. Reconnect, with `since`.",
    4410: "The login behind the socket ended: log in again.",
    4429: "Too many requests on this socket: slow down.",
}
ERROR_CODES = {
    "malformed": "Not JSON, not an object, or a name twice.",
    "invalid": "A missing, unknown or wrong field; `errors` names it for orders.",
    "unknown_op": "`supported` lists the operations.",
    "unknown_channel": "The channels are quotes, account and candles.",
    "symbol_not_found": "The group does not trade it.",
    "account_not_found": "Unknown, or somebody else's.",
    "order_not_found": "Unknown, or somebody else's.",
    "position_not_found": "Unknown, somebody else's, or closed.",
    "no_account": "The caller has no trading account.",
    "client_order_id_reused": "The id already names a different request.",
    "order_not_working": "The order is final.",
    "invalid_time_in_force": "It does not fit the order's type or expiry.",
    "invalid_order_type": "The prices do not fit the order's type.",
    "positions_do_not_match": "They are not opposite positions on one symbol.",
    "invalid_price": "A rule refused the change.",
    "invalid_stops": "A rule refused the change.",
    "invalid_volume": "A rule refused the change.",
    "frozen": "The market is within the freeze level.",
    "no_money": "The change needs more margin than the account can carry.",
    "off_quotes": "There is no fresh price.",
    "account_disabled": "The account may do nothing.",
    "rate_limit": "Too many requests of this user; `retry_after_s` says when to come back.",
    "busy": "Too many requests wait; nothing was accepted.",
    "outcome_unknown": "No answer in time: repeat with the same `client_order_id`.",
    "unavailable": "The database is away, or the server restarts; nothing was done.",
    "internal": "The request failed on our side.",
}
TRADES = {
    "order.market": ("Place a market order.", "MarketOrderIn", "OrderOut"),
    "order.pending": ("Leave a limit, stop or stop limit order.", "PendingOrderIn", "OrderOut"),
    "order.modify": ("Change a working order: absent stays, null removes.", "OrderModifyIn", "OrderOut"),
    "order.cancel": ("Take a working order back.", "OrderCancelIn", "OrderOut"),
    "position.modify": ("Change stops: absent stays, null removes.", "PositionModifyIn", "OwnPositionOut"),
    "position.close": ("Close a position, or `volume` lots of it.", "PositionCloseIn", "OrderOut"),
    "position.close_by": ("Close a position by an opposite one.", "CloseByIn", "OrderOut"),
    "position.close_all": ("Close every position, or those of one symbol.", "CloseAllIn", "CloseAllOut"),
}


def camel(name: str) -> str:
    """Return the key of an operation: `order.close_by` becomes `orderCloseBy`."""
    first, *rest = name.replace(".", "_").split("_")
    return first + "".join(word.capitalize() for word in rest)


def message(summary: str, payload: dict[str, Any], *examples: Any) -> dict[str, Any]:
    """Return one message with its examples."""
    return {
        "summary": summary,
        "contentType": "application/json",
        "payload": payload,
        "examples": [{"payload": one} for one in examples],
    }


def frame(op: str, fields: dict[str, Any], *required: str) -> dict[str, Any]:
    """Return the schema of a request's frame."""
    return {
        "type": "object",
        "required": ["op", *required],
        "properties": {"op": {"const": op}, "id": ID, **fields},
        "additionalProperties": False,
    }


def reply(data: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a good reply."""
    return {
        "type": "object",
        "required": ["id", "ok", "data"],
        "properties": {
            "id": {"oneOf": [*ID["oneOf"], {"type": "null"}]},
            "ok": {"const": True},
            "data": data,
        },
    }


def push(channel: str, fields: dict[str, Any], *, more: bool = False) -> dict[str, Any]:
    """Return the schema of a push."""
    return {
        "type": "object",
        "required": ["ch", *fields],
        "properties": {"ch": {"const": channel}, **fields},
        "additionalProperties": more,
    }


def requests_of_a_socket() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return the request and the reply of each operation that is no trade."""
    channel = {"enum": ["quotes", "account", "candles"]}
    parts = {
        "channel": channel,
        "symbols": SYMBOLS,
        "account": ACCOUNT,
        "symbol": {"type": "string"},
        "interval": INTERVAL,
    }
    since = {"type": "integer", "minimum": 0, "description": "account: only events after this seq."}
    quotes = {"op": "subscribe", "id": 2, "channel": "quotes", "symbols": ["EURUSD"]}
    journal = {"op": "subscribe", "id": 3, "channel": "account", "account": 100001, "since": 42}
    candles = {"op": "subscribe", "id": 4, "channel": "candles", "symbol": "EURUSD", "interval": "1m"}
    subscribed = {"type": "object", "required": ["channel"], "properties": {"channel": channel}}
    return {
        "auth": (
            message(
                "Authenticate without a ticket: the first frame, within 5 seconds.",
                frame("auth", {"token": {"type": "string", "maxLength": 2048}}, "token"),
                {"op": "auth", "id": 1, "token": "eyJhbGciOiJIUzI1NiIs..."},
            ),
            message(
                "Authenticated.",
                reply({"type": "object", "properties": {"authenticated": {"const": True}}}),
                {"id": 1, "ok": True, "data": {"authenticated": True}},
            ),
        ),
        "ping": (
            message("Ask for the server's time.", frame("ping", {}), {"op": "ping", "id": 7}),
            message(
                "The server's time.",
                reply({"type": "object", "required": ["t"], "properties": {"t": INSTANT_MS}}),
                {"id": 7, "ok": True, "data": {"t": 1767607200123}},
            ),
        ),
        "subscribe": (
            message(
                "Start a channel: quotes by `symbols`, an account, candles by `symbol` and `interval`.",
                frame("subscribe", {**parts, "since": since}, "channel"),
                quotes,
                journal,
                candles,
            ),
            message(
                "Started; what is known now follows, then what comes.",
                reply(subscribed),
                {"id": 2, "ok": True, "data": {"channel": "quotes", "symbols": ["EURUSD"], "simulated": []}},
                {"id": 3, "ok": True, "data": {"channel": "account", "account": 100001, "seq": 42}},
            ),
        ),
        "unsubscribe": (
            message(
                "Stop a channel, or the named part of it.",
                frame("unsubscribe", parts, "channel"),
                {"op": "unsubscribe", "id": 5, "channel": "quotes", "symbols": ["EURUSD"]},
            ),
            message(
                "Stopped.",
                reply(subscribed),
                {"id": 5, "ok": True, "data": {"channel": "quotes", "symbols": []}},
            ),
        ),
    }


def pushes(examples: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what the server sends by itself."""
    quote = {"s": {"type": "string"}, "b": PRICE, "a": PRICE, "t": INSTANT_MS}
    candle = dict.fromkeys(("open", "high", "low", "close"), PRICE)
    event = {
        "account": ACCOUNT,
        "seq": {"type": "integer", "description": "Follows the last one: no gap, no repeat."},
        "type": {"type": "string", "description": "Decides which further fields there are."},
        "at": {"type": "string", "format": "date-time"},
    }
    return {
        "quotes": message(
            "Latest prices, one per symbol.",
            push(
                "quotes",
                {
                    "q": {
                        "type": "array",
                        "items": {"type": "object", "required": list(quote), "properties": quote},
                    }
                },
            ),
            {"ch": "quotes", "q": [{"s": "EURUSD", "b": "1.10001", "a": "1.10003", "t": 1767607200123}]},
        ),
        "account": message(
            "One event of the journal, as GET /api/events shows it.",
            push("account", event, more=True),
            {"ch": "account", **examples["EventOut"]},
        ),
        "candles": message(
            "A bar as it stands; `t` is its opening.",
            push(
                "candles",
                {
                    "symbol": {"type": "string"},
                    "interval": INTERVAL,
                    "t": INSTANT_MS,
                    **candle,
                    "ticks": {"type": "integer"},
                },
            ),
            {
                "ch": "candles",
                "symbol": "EURUSD",
                "interval": "1m",
                "t": 1767607200000,
                "open": "1.1",
                "high": "1.2",
                "low": "1.0",
                "close": "1.1",
                "ticks": 9,
            },
        ),
        "hb": message(
            "The socket lives: every 10 seconds.",
            push("hb", {"t": INSTANT_MS}),
            {"ch": "hb", "t": 1767607200123},
        ),
    }


def error() -> dict[str, Any]:
    """Return the reply that says no."""
    codes = "\n".join(f"- `{code}`: {meaning}" for code, meaning in ERROR_CODES.items())
    told = {
        "type": "object",
        "required": ["code", "detail"],
        "properties": {
            "code": {"type": "string", "description": f"Stable.\n\n{codes}", "examples": list(ERROR_CODES)},
            "detail": {"type": "string"},
            "errors": {"type": "object", "additionalProperties": True},
            "supported": {"type": "array", "items": {"type": "string"}},
            "retry_after_s": {"type": "integer"},
        },
    }
    schema = reply({})
    schema = schema | {"required": ["id", "ok", "error"]}
    schema["properties"] = {"id": schema["properties"]["id"], "ok": {"const": False}, "error": told}
    return message(
        "The request was not done.",
        schema,
        {"id": 7, "ok": False, "error": {"code": "symbol_not_found", "detail": "not offered: EURUSDX"}},
    )


def described() -> dict[str, Any]:
    """Return the whole document."""
    from apps.trading.api import inputs, outputs
    from rtx.kernel import openapi

    examples = openapi.examples()
    messages: dict[str, Any] = {"error": error()}
    operations: dict[str, Any] = {}

    def operation(op: str, asked: dict[str, Any], answered: dict[str, Any]) -> None:
        key = camel(op)
        messages[key], messages[f"{key}Reply"] = asked, answered
        operations[key] = {
            "action": "receive",
            "summary": asked["summary"],
            "channel": CHANNEL,
            "messages": [{"$ref": f"#/channels/ws/messages/{key}"}],
            "reply": {
                "channel": CHANNEL,
                "messages": [{"$ref": f"#/channels/ws/messages/{name}"} for name in (f"{key}Reply", "error")],
            },
        }

    for op, (asked, answered) in requests_of_a_socket().items():
        operation(op, asked, answered)
    for op, (summary, taken, given) in TRADES.items():
        openapi.of(getattr(inputs, taken))
        openapi.of(getattr(outputs, given))
        data = {"data": {"$ref": f"#/components/schemas/{taken}"}}
        operation(
            op,
            message(summary, frame(op, data, "data"), {"op": op, "id": 9, "data": examples[taken]}),
            message(
                "The outcome, as REST answers it.",
                reply({"$ref": f"#/components/schemas/{given}"}),
                {"id": 9, "ok": True, "data": examples[given]},
            ),
        )
    for name, pushed in pushes(examples).items():
        messages[f"{name}Push"] = pushed
        operations[f"push{name.capitalize()}"] = {
            "action": "send",
            "summary": pushed["summary"],
            "channel": CHANNEL,
            "messages": [{"$ref": f"#/channels/ws/messages/{name}Push"}],
        }
    used = {name for _, taken, given in TRADES.values() for name in (taken, given)}
    used |= {"DealOut", "TriggerOut", "NotClosedOut"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "RTX stream",
            "version": "1",
            "description": "Prices, accounts and orders over one WebSocket: JSON text frames, decimals as "
            "strings. docs/websocket.md tells the same in prose.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "stream": {
                "host": "localhost:8001",
                "pathname": "/ws",
                "protocol": "ws",
                "description": "A stream process; wss behind TLS.",
                "security": [{"$ref": "#/components/securitySchemes/ticket"}],
            }
        },
        "channels": {
            "ws": {
                "address": "/ws",
                "description": "Authenticate by `?ticket=` or by an `auth` frame.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "query": {
                            "type": "object",
                            "properties": {
                                "ticket": {
                                    "type": "string",
                                    "description": "From POST /api/auth/ws-ticket: good once, 30 seconds.",
                                }
                            },
                        },
                    }
                },
                "x-close-codes": {str(code): meaning for code, meaning in CLOSE_CODES.items()},
            }
        },
        "operations": operations,
        "components": {
            "securitySchemes": {
                "ticket": {"type": "httpApiKey", "in": "query", "name": "ticket"},
            },
            "messages": messages,
            "schemas": {name: openapi._definitions[name] for name in sorted(used)},
        },
    }


class _Plain(yaml.SafeDumper):
    """Writes every value in full: no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text() -> str:
    """Return the document as the file has it."""
    head = "# Made by `python -m tests.factories.asyncapi`; a test compares.\n"
    return head + yaml.dump(described(), Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rtx.settings.test")
    django.setup()
    PATH.write_text(text(), encoding="utf-8")
