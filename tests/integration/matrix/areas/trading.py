"""Trading: orders, positions, deals; the trader's REST and WebSocket."""

from typing import Any

PAGES = """
                          superadmin admin dealer support auditor
trading.order       reach v          v     v      v       v
trading.deal        reach v          v     v      v       v
trading.position    reach v          v     v      v       v
trading.rolloverday reach v          v     v      v       v
trading.swapcharge  reach v          v     v      v       v
"""

ACTIONS = """
                                 superadmin admin dealer support auditor
trading.order    cancel          x          x     x      -       -
trading.order    modify          x          x     x      -       -
trading.order    new_order       x          x     x      -       -
trading.position close_at_market x          x     x      -       -
trading.position close_by        x          x     x      -       -
trading.position close_part      x          x     x      -       -
trading.position modify          x          x     x      -       -
trading.position reverse         x          x     x      -       -
"""

INLINES = """
                         superadmin admin dealer support auditor
trading.order DealInline v          v     v      v       v
"""

ROUTES = """
                                                    superadmin admin   dealer  support auditor trader  anonymous
GET    api/accounts                                 ok         ok      ok      ok      ok      ok      401
GET    api/accounts/<int:login>                     404        404     404     404     404     ok/404  401
DELETE api/admin/order/<int:order_id>               409        409/404 409/404 403/404 403/404 403     401
PUT    api/admin/order/<int:order_id>               409        409/404 409/404 403/404 403/404 403     401
POST   api/admin/order/create                       ok         ok/404  ok/404  403/404 403/404 403     401
POST   api/admin/position/<int:position_id>/close   ok         ok/404  ok/404  403/404 403/404 403     401
POST   api/admin/position/<int:position_id>/modify  ok         ok/404  ok/404  403/404 403/404 403     401
POST   api/admin/position/<int:position_id>/reverse 409        409/404 409/404 403/404 403/404 403     401
GET    api/deals                                    404        404     404     404     404     ok/404  401
GET    api/events                                   404        404     404     404     404     ok/404  401
GET    api/orders                                   404        404     404     404     404     ok/404  401
DELETE api/orders/<int:order_id>                    404        404     404     404     404     409/404 401
GET    api/orders/<int:order_id>                    404        404     404     404     404     ok/404  401
PATCH  api/orders/<int:order_id>                    404        404     404     404     404     409/404 401
POST   api/orders/market                            404        404     404     404     404     ok/404  401
POST   api/orders/pending                           404        404     404     404     404     ok/404  401
GET    api/positions                                404        404     404     404     404     ok/404  401
GET    api/positions/<int:position_id>              404        404     404     404     404     ok/404  401
PATCH  api/positions/<int:position_id>              404        404     404     404     404     ok/404  401
POST   api/positions/<int:position_id>/close        404        404     404     404     404     ok/404  401
POST   api/positions/close-all                      404        404     404     404     404     ok/404  401
POST   api/positions/close-by                       404        404     404     404     404     ok/404  401
GET    api/quotes                                   404        404     404     404     404     ok/404  401
GET    api/statements                               404        404     404     404     404     ok/404  401
GET    api/symbols                                  404        404     404     404     404     ok/404  401
GET    api/symbols/<str:symbol>                     400        400     400     400     400     ok      401
"""

STREAM = """
                    superadmin         admin              dealer             support            auditor            trader                            anonymous
auth                ok                 ok                 ok                 ok                 ok                 ok                                4401
ping                ok                 ok                 ok                 ok                 ok                 ok                                4401
subscribe:quotes    account_not_found  account_not_found  account_not_found  account_not_found  account_not_found  ok/account_not_found              4401
subscribe:account   account_not_found  account_not_found  account_not_found  account_not_found  account_not_found  ok/account_not_found              4401
subscribe:candles   account_not_found  account_not_found  account_not_found  account_not_found  account_not_found  ok/account_not_found              4401
order.market        account_not_found  account_not_found  account_not_found  account_not_found  account_not_found  ok/account_not_found              4401
order.pending       account_not_found  account_not_found  account_not_found  account_not_found  account_not_found  ok/account_not_found              4401
unsubscribe:quotes  ok                 ok                 ok                 ok                 ok                 ok                                4401
unsubscribe:account account_not_found  account_not_found  account_not_found  account_not_found  account_not_found  ok/account_not_found              4401
unsubscribe:candles ok                 ok                 ok                 ok                 ok                 ok                                4401
order.modify        order_not_found    order_not_found    order_not_found    order_not_found    order_not_found    order_not_working/order_not_found 4401
order.cancel        order_not_found    order_not_found    order_not_found    order_not_found    order_not_found    order_not_working/order_not_found 4401
position.modify     position_not_found position_not_found position_not_found position_not_found position_not_found ok/position_not_found             4401
position.close      position_not_found position_not_found position_not_found position_not_found position_not_found ok/position_not_found             4401
position.close_by   position_not_found position_not_found position_not_found position_not_found position_not_found ok/position_not_found             4401
position.close_all  account_not_found  account_not_found  account_not_found  account_not_found  account_not_found  ok/account_not_found              4401
"""

IDS = {
    "api/accounts/<int:login>": "accounts.tradingaccount:login",
    "api/symbols/<str:symbol>": "=EURUSD",
    "api/orders/<int:order_id>": "trading.order",
    "api/positions/<int:position_id>": "trading.position",
    "api/positions/<int:position_id>/close": "trading.position",
    "api/admin/order/<int:order_id>": "trading.order",
    "api/admin/position/<int:position_id>/close": "trading.position",
    "api/admin/position/<int:position_id>/modify": "trading.position",
    "api/admin/position/<int:position_id>/reverse": "trading.position",
}


REASON = {"reason": "to be seen"}


def _login(side: Any) -> dict[str, Any]:
    return {"account": side.account.login}


def _statement(side: Any) -> dict[str, Any]:
    return {"account": side.account.login, "from": "2026-01-01", "to": "2026-01-31"}


def _quotes(side: Any) -> dict[str, Any]:
    return {"account": side.account.login, "symbols": "EURUSD"}


def _market(side: Any) -> dict[str, Any]:
    order = {"symbol": "EURUSD", "side": "buy", "volume": "0.01", "client_order_id": "matrix"}
    return {"account": side.account.login, **order}


def _on_behalf(side: Any) -> dict[str, Any]:
    return {"account": side.account.login, "symbol": "EURUSD", "side": "buy", "volume": "0.01"}


def _pending(side: Any) -> dict[str, Any]:
    order = _market(side) | {"client_order_id": "matrix-pending"}
    return {**order, "type": "limit", "price": "1.00000", "time_in_force": "gtc"}


def _close_by(side: Any) -> dict[str, Any]:
    first, second = side.account.positions.order_by("pk")[:2]
    return {"position_id": first.pk, "opposite_id": second.pk, "client_order_id": "matrix-by"}


ASKED = {
    "GET api/orders": _login,
    "GET api/positions": _login,
    "GET api/deals": _login,
    "GET api/events": _login,
    "GET api/quotes": _quotes,
    "GET api/symbols": _login,
    "GET api/statements": _statement,
    "GET api/candles": lambda side: {"symbol": "EURUSD", "interval": "1m"},
    "POST api/orders/market": _market,
    "POST api/orders/pending": _pending,
    "PATCH api/orders/<int:order_id>": lambda side: {"price": "1.00000"},
    "PATCH api/positions/<int:position_id>": lambda side: {"stop_loss": "1.00000"},
    "POST api/admin/order/create": lambda side: _on_behalf(side) | REASON,
    "PUT api/admin/order/<int:order_id>": lambda side: {"price": "1.00000", **REASON},
    "DELETE api/admin/order/<int:order_id>": lambda side: REASON,
    "POST api/admin/position/<int:position_id>/close": lambda side: {"volume": "0.01", **REASON},
    "POST api/admin/position/<int:position_id>/modify": lambda side: {"stop_loss": "1.00000", **REASON},
    "POST api/admin/position/<int:position_id>/reverse": lambda side: REASON,
    "POST api/positions/close-by": _close_by,
    "POST api/positions/close-all": lambda side: (
        _login(side) | {"symbol": "USDJPY", "client_order_id": "all"}
    ),
    "POST api/positions/<int:position_id>/close": lambda side: {"volume": "0.01", "client_order_id": "close"},
}
