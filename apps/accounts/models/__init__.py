"""Tables of accounts: users and clients, staff, trading accounts, the journal and the ledger."""

from apps.accounts.models.accounts import AccountState, TradingAccount
from apps.accounts.models.clients import Client
from apps.accounts.models.imports import ImportFailure, ImportRun
from apps.accounts.models.journal import AccountEvent, LedgerLine
from apps.accounts.models.kyc import KycContent, KycDocument, KycReview
from apps.accounts.models.staff import AllowedNetwork, ReachGrant, StaffSession
from apps.accounts.models.users import RefreshToken, User

__all__ = [
    "AccountEvent",
    "AccountState",
    "AllowedNetwork",
    "Client",
    "ImportFailure",
    "ImportRun",
    "KycContent",
    "KycDocument",
    "KycReview",
    "LedgerLine",
    "ReachGrant",
    "RefreshToken",
    "StaffSession",
    "TradingAccount",
    "User",
]
