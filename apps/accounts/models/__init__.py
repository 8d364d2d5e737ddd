"""Tables of accounts: users and clients, trading accounts with their state, the journal and the ledger."""

from apps.accounts.models.accounts import AccountState, TradingAccount
from apps.accounts.models.clients import Client
from apps.accounts.models.imports import ImportFailure, ImportRun
from apps.accounts.models.journal import AccountEvent, LedgerLine
from apps.accounts.models.kyc import KycContent, KycDocument, KycReview
from apps.accounts.models.users import RefreshToken, User

__all__ = [
    "AccountEvent",
    "AccountState",
    "Client",
    "ImportFailure",
    "ImportRun",
    "KycContent",
    "KycDocument",
    "KycReview",
    "LedgerLine",
    "RefreshToken",
    "TradingAccount",
    "User",
]
