"""
Double-entry lines of money movements. Pure.

The lines of one event add up to zero. The client's line is the change of the balance (or of the credit);
the other lines say which ledger of the house stands against it. `cash` and `credit_granted` are contra
ledgers: money received from a client makes `cash` negative by the same amount.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Ledger(StrEnum):
    """Where money stands."""

    CLIENT = "client"
    CREDIT = "credit"
    CASH = "cash"
    CREDIT_GRANTED = "credit_granted"
    BBOOK = "bbook"
    COMMISSION = "commission"
    SWAP = "swap"
    MARKUP = "markup"
    COMPENSATION = "compensation"


class BalanceKind(StrEnum):
    """Why a balance or a credit changes without a deal."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    ADJUSTMENT = "adjustment"
    CREDIT = "credit"
    COMPENSATION = "compensation"


CONTRA = {
    BalanceKind.DEPOSIT: Ledger.CASH,
    BalanceKind.WITHDRAWAL: Ledger.CASH,
    BalanceKind.ADJUSTMENT: Ledger.BBOOK,
    BalanceKind.CREDIT: Ledger.CREDIT_GRANTED,
    BalanceKind.COMPENSATION: Ledger.COMPENSATION,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One side of a movement, in the account's currency."""

    ledger: Ledger
    amount: Decimal


def deal_lines(*, profit: Decimal, commission: Decimal, swap: Decimal, markup: Decimal) -> list[Line]:
    """
    Return the lines of one deal; all amounts are booked amounts of the account's currency.

    Profit, commission and swap are the client's (a fee is negative); markup is what the house earned on the
    price, moved out of the B-book's result so that both can be seen.
    """
    lines = [
        Line(Ledger.CLIENT, profit + commission + swap),
        Line(Ledger.BBOOK, -profit - markup),
        Line(Ledger.COMMISSION, -commission),
        Line(Ledger.SWAP, -swap),
        Line(Ledger.MARKUP, markup),
    ]
    return [line for line in lines if line.amount]


def protection_lines(*, credit_used: Decimal, compensation: Decimal) -> list[Line]:
    """
    Return the lines that make good what a closed-out account owes: first its credit turns into balance, then
    the house pays. Both amounts are positive.
    """
    lines = [
        Line(Ledger.CREDIT, -credit_used),
        Line(Ledger.CLIENT, credit_used + compensation),
        Line(Ledger.COMPENSATION, -compensation),
    ]
    return [line for line in lines if line.amount]


def balance_lines(*, kind: BalanceKind, amount: Decimal) -> list[Line]:
    """Return the lines of a balance operation; `amount` is signed as the client sees it."""
    own = Ledger.CREDIT if kind is BalanceKind.CREDIT else Ledger.CLIENT
    return [Line(own, amount), Line(CONTRA[kind], -amount)]
