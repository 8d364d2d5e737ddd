"""The parser of orders under fire: whatever comes, it parses or it is invalid."""

import json
from typing import Any

from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.trading.api.inputs import ClosePositionIn, MarketOrderIn
from rtx.kernel.errors import Invalid

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=80)
    | st.decimals().map(str)
    | st.sampled_from(["buy", "sell", "EURUSD", "0.10", "1e999", "NaN", "-0", "\u0000", "9" * 100])
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
_names = st.sampled_from([*MarketOrderIn.__struct_fields__, "position_id"]) | st.text(max_size=12)
_GOOD = {"account": 1, "symbol": "EURUSD", "side": "buy", "volume": "0.10", "client_order_id": "c"}


def _parses_or_is_invalid(kind: Any, data: Any) -> None:
    try:
        found = kind.validated(data)
    except Invalid:
        return
    assert found.volume is None or 0 < found.volume < 10**18


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_names, _values, max_size=6), st.booleans())
@example({"volume": "0.1" * 1000}, True)
def test_any_object_parses_or_is_invalid(changes, on_top_of_a_good_one):
    body = {**_GOOD, **changes} if on_top_of_a_good_one else changes
    _parses_or_is_invalid(MarketOrderIn, json.dumps(body).encode())
    _parses_or_is_invalid(MarketOrderIn, body)
    _parses_or_is_invalid(ClosePositionIn, json.dumps(body).encode())


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
@example(b"9" * 5_000)
@example(b'{"account":' + b"9" * 5_000 + b"}")
def test_any_bytes_parse_or_are_invalid(data):
    _parses_or_is_invalid(MarketOrderIn, data)
