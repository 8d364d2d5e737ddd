"""
Admin pages of accounts: users and clients are edited, journal, ledger and tokens only shown. Accounts: see
trading.
"""

from apps.accounts.admin.clients import ClientAdmin
from apps.accounts.admin.imports import ImportRunAdmin
from apps.accounts.admin.journal import AccountEventAdmin, AccountStateAdmin, LedgerLineAdmin
from apps.accounts.admin.kyc import KycDocumentAdmin, KycReviewAdmin
from apps.accounts.admin.staff import AllowedNetworkAdmin, ReachGrantAdmin, StaffSessionAdmin
from apps.accounts.admin.users import RefreshTokenAdmin, UserAdmin

__all__ = [
    "AccountEventAdmin",
    "AccountStateAdmin",
    "AllowedNetworkAdmin",
    "ClientAdmin",
    "ImportRunAdmin",
    "KycDocumentAdmin",
    "KycReviewAdmin",
    "LedgerLineAdmin",
    "ReachGrantAdmin",
    "RefreshTokenAdmin",
    "StaffSessionAdmin",
    "UserAdmin",
]
