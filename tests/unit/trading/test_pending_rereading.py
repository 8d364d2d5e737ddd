"""A book that is read again between any two commands decides the same, also while terms are edited."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.groups.domain.terms import GroupSpec, resolve
from apps.trading.domain.book import AccountBook
from apps.trading.domain.orders import Side, TimeInForce
from apps.trading.domain.replaying import Replay
from tests.factories.walks import Step, Walk, groups, new_account, steps

D = Decimal

_edits = st.fixed_dictionaries(
    {
        "margin_rate_buy": st.sampled_from([D(1), D(2)]),
        "margin_rate_pending": st.sampled_from([D(0), D("0.5"), D(1)]),
        "hedged_contract_size": st.sampled_from([D(0), D(100_000)]),
        "stop_level_points": st.sampled_from([0, 30]),
    }
)
_leverages = st.sampled_from([10, 50, 200])
# Each round leaves an order behind and trades beside it, so that there is something to margin again.
_WAITS = ("pending", "EURUSD", Side.BUY, D("0.10"), "limit", -50, TimeInForce.GTC, 0)
_TRADES = ("market", "EURUSD", Side.BUY, D("0.01"), 0)
_rounds = st.lists(st.tuples(_edits, _leverages, steps.map(lambda drawn: drawn[:6])), min_size=1, max_size=5)


class EditedWalk(Walk):
    """A walk whose symbols are edited now and then; perhaps its book is read again after each event."""

    def __init__(self, group: GroupSpec, *, rereads: bool) -> None:
        super().__init__(group)
        self._rereads = rereads

    def edit(self, changes: dict[str, Any]) -> None:
        """Change all symbols."""
        self._symbols = {name: replace(spec, **changes) for name, spec in self._symbols.items()}
        self._terms = {
            name: resolve(symbol=spec, group=self.group, override=None, version=1)
            for name, spec in self._symbols.items()
        }

    def walk(self, drawn: list[Step]) -> None:
        """Take the steps."""
        for _ in self.taken(drawn):
            if self._rereads:
                self.book = AccountBook(
                    account=self.account,
                    positions=[held for _, held in sorted(self.book.positions.items())],
                    orders=[order for _, order in sorted(self.book.orders.items())],
                    tickets=self.book._tickets,
                )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(groups, _rounds)
def test_a_book_read_again_decides_the_same(group, rounds):
    kept, reread = EditedWalk(group, rereads=False), EditedWalk(group, rereads=True)

    for changes, leverage, drawn in rounds:
        for walk in (kept, reread):
            walk.edit(changes)
            walk.walk([_WAITS, *drawn, ("leverage", leverage), _TRADES])

    assert [outcome.payload for outcome in reread.outcomes] == [outcome.payload for outcome in kept.outcomes]
    assert reread.account == kept.account
    again = Replay(account=new_account(group))
    for outcome in kept.outcomes:
        payload = orjson.loads(orjson.dumps(outcome.payload))
        again.replay(seq=outcome.seq, type_=outcome.type, payload=payload)
    assert again.account == kept.account
    assert (again.positions, again.orders) == (kept.book.positions, kept.book.orders)
