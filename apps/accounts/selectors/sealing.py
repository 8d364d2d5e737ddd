"""
What of the accounts the audit seals: the journal. The ledger needs no seal of its own: `verify_books`
derives every line again from the sealed events.
"""

from apps.audit.domain.entries import SealedLog

JOURNAL = SealedLog(
    name="journal",
    table="accounts_accountevent",
    subject="account_id",
    seq="seq",
    subject_query="SELECT 'account ' || login FROM accounts_tradingaccount WHERE id = %s",
    covered=frozenset({"xact", "id", "at", "account_id", "seq"}),
    forms=(("type", "command_id", "fingerprint", "actor", "request_id", "payload"),),
)
