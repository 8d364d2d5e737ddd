"""
What happens to an account without an order: balance operations, its leverage and status, overnight swaps.
Pure.
"""

from datetime import datetime
from decimal import Decimal

from apps.accounts.domain import ledger
from apps.accounts.domain.ledger import BalanceKind, Line
from apps.trading.domain import checks, journal
from apps.trading.domain.commands import (
    ChangeAccount,
    ChangeBalance,
    ChargeSwaps,
    CloseAccount,
    Outcome,
    SwapBooked,
)
from apps.trading.domain.filling import Desk
from apps.trading.domain.orders import ContractTerms, RejectReason
from apps.trading.domain.pricing import MarketView
from rtx.kernel.errors import Conflict, Invalid
from rtx.kernel.money import ZERO, booked, text


class AmountInvalid(Invalid):
    """An amount is zero, has the wrong sign for its kind, or more decimals than its currency."""

    code = "invalid_amount"
    title = "Invalid amount"


class AccountNotEmpty(Conflict):
    """The account holds or owes something: it cannot be closed."""

    code = "account_not_empty"
    title = "The account is not empty"


def change_balance(desk: Desk, command: ChangeBalance, market: MarketView, now: datetime) -> Outcome:
    """
    Book a deposit, a withdrawal, an adjustment, a credit; refuse a withdrawal that margin or a loss needs.

    :raises AmountInvalid: the amount does not fit its kind or its currency.
    """
    account, amount = desk.account, command.amount
    if not amount or amount != booked(amount, account.currency):
        raise AmountInvalid(f"An amount in {account.currency} cannot be {text(amount)}.")
    takes = amount < 0
    if takes is not (command.kind is BalanceKind.WITHDRAWAL) and command.kind in (
        BalanceKind.DEPOSIT,
        BalanceKind.WITHDRAWAL,
    ):
        raise AmountInvalid(f"A {command.kind} of {text(amount)} has the wrong sign.")
    payload: journal.Payload = {
        "kind": command.kind.value,
        "amount": text(booked(amount, account.currency)),
        "reference": command.reference,
        "comment": command.comment,
    }
    if command.kind is BalanceKind.WITHDRAWAL and -amount > _withdrawable(desk, market):
        payload["reject_reason"] = RejectReason.NO_MONEY.value
        return desk.outcome("balance_rejected", payload, refusal=RejectReason.NO_MONEY)
    lines = ledger.balance_lines(kind=command.kind, amount=booked(amount, account.currency))
    desk.post(lines)
    return desk.outcome("balance_changed", {**payload, **desk.money()}, lines=lines)


def _withdrawable(desk: Desk, market: MarketView) -> Decimal:
    """
    Return what may leave: neither credit nor floating profit, and nothing that margin or a loss needs.
    """
    floating = desk.floating(desk.positions.values(), market)
    if floating is None:
        return ZERO
    return desk.account.balance + min(floating, ZERO) - desk.account.margin


def change_account(desk: Desk, command: ChangeAccount, market: MarketView, now: datetime) -> Outcome:
    """Change leverage or status; what is held and what waits takes margin at the new leverage."""
    account = desk.account
    leverage = command.leverage or account.leverage
    terms: dict[int, ContractTerms] = {}
    order_terms: dict[int, ContractTerms] = {}
    if leverage != account.leverage:
        for position in desk.positions.values():
            present = desk.terms_of(position.symbol, market, is_held=True)
            terms[position.id] = ContractTerms.of(present, account_leverage=leverage)
        for order in desk.orders.values():
            if order.terms is not None:
                present = desk.terms_of(order.symbol, market, is_held=True)
                order_terms[order.id] = ContractTerms.of(present, account_leverage=leverage)
    account.status = command.status or account.status
    desk.set_leverage(leverage, terms, order_terms)
    payload = {
        "leverage": leverage,
        "status": account.status,
        **desk.money(),
        "house": {
            "terms": {str(key): kept.encoded() for key, kept in terms.items()},
            "order_terms": {str(key): kept.encoded() for key, kept in order_terms.items()},
        },
    }
    return desk.outcome("account_changed", payload, orders=[desk.orders[key] for key in order_terms])


def close_account(desk: Desk, command: CloseAccount, market: MarketView, now: datetime) -> Outcome:
    """
    Disable an account that is empty.

    :raises AccountNotEmpty: it holds positions, orders, money or credit.
    """
    account = desk.account
    held = [
        f"{count} {what}"
        for count, what in ((len(desk.positions), "open positions"), (len(desk.orders), "working orders"))
        if count
    ]
    held += [
        f"{text(value)} {account.currency} of {what}"
        for value, what in ((account.balance, "balance"), (account.credit, "credit"))
        if value
    ]
    if held:
        raise AccountNotEmpty(f"Account {account.login} has {', '.join(held)}.")
    account.status = checks.DISABLED
    payload = {"leverage": account.leverage, "status": account.status, **desk.money(), "house": {}}
    return desk.outcome("account_changed", payload)


def charge_swaps(desk: Desk, command: ChargeSwaps, market: MarketView, now: datetime) -> Outcome:
    """
    Charge one trading day's swaps as they were computed for the rollover's instant.

    What is still open carries its charge as part of equity until it closes; what has closed since pays at
    once.
    """
    booked_swaps = []
    for due in command.charges:
        is_settled = not desk.accrue_swap(due.position_id, due.amount)
        booked_swaps.append(SwapBooked(due, command.date, command.rolled_at, is_settled))
    lines = [line for one in booked_swaps for line in swap_lines(one)]
    desk.post(lines)
    payload = {
        "date": command.date.isoformat(),
        "rolled_at": journal.instant(command.rolled_at),
        "charges": [journal.swap_payload(one) for one in booked_swaps],
        **desk.money(),
        "house": {"terms_version": max((due.terms_version for due in command.charges), default=0)},
    }
    return desk.outcome("swaps_charged", payload, lines=lines, swaps=booked_swaps)


def swap_lines(charge: SwapBooked) -> list[Line]:
    """Return the ledger lines of one night's charge: none while the position carries it."""
    if not charge.is_settled:
        return []
    return ledger.deal_lines(profit=ZERO, commission=ZERO, swap=charge.due.amount, markup=ZERO)
