"""
Admin pages of accounts: users and clients are edited, journal, ledger and tokens only shown. Accounts: see
trading.
"""

from apps.accounts.admin.clients import ClientAdmin
from apps.accounts.admin.journal import AccountEventAdmin, AccountStateAdmin, LedgerLineAdmin
from apps.accounts.admin.staff import AllowedNetworkAdmin, ReachGrantAdmin, StaffSessionAdmin
from apps.accounts.admin.users import RefreshTokenAdmin, UserAdmin

__all__ = [
    "AccountEventAdmin",
    "AccountStateAdmin",
    "AllowedNetworkAdmin",
    "ClientAdmin",
    "LedgerLineAdmin",
    "ReachGrantAdmin",
    "RefreshTokenAdmin",
    "StaffSessionAdmin",
    "UserAdmin",
]
