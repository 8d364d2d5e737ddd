"""Random houses for tests of the margin monitor's portfolio, and the same in the book's Decimal."""

import random
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from apps.groups.domain.terms import GroupSpec, Override, resolve
from apps.groups.selectors import TermsBook
from apps.market.domain.quotes import Quote
from apps.risk.selectors.portfolio import FactsRow, HeldRow
from apps.risk.services import portfolio_rows
from apps.risk.services.portfolio import Portfolio
from apps.trading.domain.holdings import Account, Holdings, Valuation
from apps.trading.domain.orders import ContractTerms, Position, Side
from apps.trading.selectors.markets import Markets
from tests.factories.books import GROUP, NOON, NOON_MS, QUOTES, SYMBOLS

D = Decimal
GROUPS = {
    1: GROUP,
    2: replace(GROUP, id=2, name="wide", markup_bid_points=D(12), markup_ask_points=D(7)),
    3: replace(GROUP, id=3, name="euro", currency="EUR", markup_bid_points=D(3), stop_out_pct=D(30)),
    4: replace(GROUP, id=4, name="yen", currency="JPY", markup_ask_points=D("2.5"), protects_balance=True),
}


def terms_of(groups: dict[int, GroupSpec] | None = None, *, version: int = 1) -> TermsBook:
    """Return the terms of all symbols in these groups."""
    known = groups or GROUPS
    terms = {
        id_: {
            name: resolve(symbol=spec, group=group, override=Override(), version=version)
            for name, spec in SYMBOLS.items()
        }
        for id_, group in known.items()
    }
    return TermsBook(version=version, symbols=SYMBOLS, groups=known, terms=terms, profiles={})


def quote(symbol: str, bid: str, ask: str) -> Quote:
    """Return a quote as of noon."""
    return Quote(symbol, D(bid), D(ask), NOON_MS)


@dataclass
class House:
    """A portfolio beside the same accounts as the book has them."""

    book: TermsBook = field(default_factory=terms_of)
    quotes: dict[str, Quote] = field(
        default_factory=lambda: {name: quote(name, *prices) for name, prices in QUOTES.items()}
    )
    held: dict[int, Holdings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.portfolio = Portfolio(self.book)
        self.portfolio.prices.take(self.quotes, self.quotes)

    def put(self, holdings: Holdings, *, flow: float = 0.0, in_call: bool = False) -> Any:
        """Let an account be like this, and return what the portfolio found."""
        self.held[holdings.account.id] = holdings
        return self.portfolio.put(
            portfolio_rows.of_accounts([_rows(holdings, flow, in_call)]), now_ms=NOON_MS
        )

    def tick(self, *quotes: Quote) -> Any:
        """Let prices move, and return what the portfolio found."""
        self.quotes |= {one.symbol: one for one in quotes}
        return self.portfolio.tick(self.quotes, [one.symbol for one in quotes], now_ms=NOON_MS)

    def take_terms(self, book: TermsBook) -> None:
        """Trade under other terms from now on."""
        self.book = book
        self.portfolio.take_terms(book)

    def value(self, account_id: int) -> Valuation | None:
        """Value an account in Decimal, as the book does."""
        held = self.held[account_id]
        views = Markets(book=self.book, now=NOON, quotes=self.quotes)
        return held.valuation(views.of_group(held.account.group_id))

    def equity(self, account_id: int) -> float:
        """Return what the portfolio takes an account's equity for."""
        place = self.portfolio.accounts.index[account_id]
        accounts = self.portfolio.accounts
        return float(accounts.settled[place] + accounts.floating[place])


def account(id_: int = 1, *, group: GroupSpec = GROUP, balance: str = "10000", **more: Any) -> Account:
    """Return an account of a group, 1:100."""
    return Account(
        id=id_,
        login=id_,
        group_id=group.id,
        currency=group.currency,
        position_mode=group.position_mode,
        leverage=100,
        balance=D(balance),
        **more,
    )


def position(
    id_: int, symbol: str, side: Side, lots: str, price: str, *, swap: str = "0", book: str = "b"
) -> Position:
    """Return an open position under the symbol's present contract."""
    terms = ContractTerms.of(terms_of().terms[1][symbol], account_leverage=100)
    return Position(
        id=id_,
        symbol=symbol,
        side=side,
        volume=D(lots),
        cost=D(lots) * D(price),
        margin_rate=D(1),
        terms=terms,
        book=book,
        last_deal_id=id_,
        opened_at=NOON,
        stop_loss=None,
        take_profit=None,
        trailing_points=None,
        swap=D(swap),
        commission=D(0),
    )


def random_holdings(chance: random.Random, id_: int, first_position: int) -> Holdings:
    """Return an account of any group with up to six positions."""
    group = chance.choice(list(GROUPS.values()))
    positions = []
    for number in range(chance.randint(0, 6)):
        symbol = chance.choice(list(SYMBOLS))
        middle = D(QUOTES[symbol][0])
        positions.append(
            position(
                first_position + number,
                symbol,
                chance.choice(list(Side)),
                f"{chance.randint(1, 500) / 100:.2f}",
                f"{middle * (1 + D(chance.randint(-200, 200)) / 10_000):.5f}",
                swap=f"{chance.randint(-500, 500) / 100:.2f}",
                book=chance.choice("ab"),
            )
        )
    held = Holdings(
        account=account(id_, group=group, balance=str(chance.randint(-100, 100_000))), positions=positions
    )
    held.account.margin = D(chance.randint(0, 20_000)) if positions else D(0)
    return held


def moved(chance: random.Random) -> Quote:
    """Return a quote of any symbol within two percent of the usual one."""
    symbol = chance.choice(list(SYMBOLS))
    digits = SYMBOLS[symbol].digits
    bid = round(D(QUOTES[symbol][0]) * (1 + D(chance.randint(-200, 200)) / 10_000), digits)
    return Quote(symbol, bid, bid + SYMBOLS[symbol].point * chance.randint(1, 40), NOON_MS)


def _rows(held: Holdings, flow: float, in_call: bool) -> tuple[FactsRow, list[HeldRow]]:
    one = held.account
    facts = FactsRow(
        one.id,
        one.group_id,
        one.currency,
        float(one.balance),
        float(one.credit),
        float(one.margin),
        one.seq,
        flow,
        in_call,
    )
    return facts, [
        HeldRow(
            found.id,
            found.symbol,
            found.terms.profit_currency,
            found.side is Side.BUY,
            float(found.volume),
            float(found.cost),
            float(found.terms.contract_size * found.terms.tick_factor),
            float(found.swap),
            found.book == "b",
        )
        for found in held.positions.values()
    ]
