"""The rights of dealing: what staff may do to orders and positions of clients within their reach."""

PLACE_ORDER = "trading.place_order"
MODIFY_ORDER = "trading.modify_order"
CANCEL_ORDER = "trading.cancel_order"
CLOSE_POSITION = "trading.close_position"
MODIFY_POSITION = "trading.modify_position"
REVERSE_POSITION = "trading.reverse_position"
APPROVE_REVERSAL = "trading.approve_reversal"
