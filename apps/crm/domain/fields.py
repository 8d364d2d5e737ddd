"""
What RTX knows of a client and of a trading account that a CRM may be told: the catalog of fields. Pure; how
the values are read is said in `crm.selectors.values`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

Kind = Literal["client", "account"]
FieldType = Literal["text", "number", "money", "date", "datetime"]
Money = Mapping[str, Decimal]  # currency -> amount
Value = str | int | Decimal | date | datetime | Money | None


@dataclass(frozen=True, slots=True)
class RtxField:
    """
    One field. `is_personal`: it identifies a person. `is_pullable`: a CRM may change it here; `is_required`:
    it cannot become empty here. `choices`: all values it can have; empty: any.
    """

    name: str
    label: str
    type: FieldType = "text"
    is_personal: bool = False
    is_pullable: bool = False
    is_required: bool = False
    choices: tuple[str, ...] = ()
    help: str = ""


CLIENT_FIELDS = (
    RtxField("number", "Client number", "number"),
    RtxField("id", "Client id"),
    RtxField("first_name", "First name", is_personal=True, is_pullable=True, is_required=True),
    RtxField("last_name", "Last name", is_personal=True, is_pullable=True, is_required=True),
    RtxField("full_name", "Full name", is_personal=True),
    RtxField("email", "E-mail", is_personal=True),
    RtxField("phone", "Phone", is_personal=True, is_pullable=True),
    RtxField("address", "Address", is_personal=True, is_pullable=True),
    RtxField("country", "Country", is_pullable=True, help="Two letters (ISO 3166)."),
    RtxField("birth_date", "Date of birth", "date", is_personal=True),
    RtxField(
        "kyc_status",
        "KYC status",
        choices=("none", "pending", "verified", "rejected", "expired"),
    ),
    RtxField("kyc_valid_until", "KYC valid until", "date"),
    RtxField("created_at", "Client since", "datetime"),
    RtxField("accounts_count", "Trading accounts", "number"),
    RtxField("balance", "Balance", "money", help="Of all accounts, per currency."),
    RtxField("deposits", "Deposits", "money", help="Paid in over all time, per currency."),
    RtxField("withdrawals", "Withdrawals", "money", help="Paid out over all time, per currency."),
    RtxField("lots_traded", "Lots traded", "number", help="Volume of all deals, opening and closing."),
    RtxField("last_deal_at", "Last deal", "datetime"),
)
ACCOUNT_FIELDS = (
    RtxField("login", "Account number", "number"),
    RtxField("title", "Title", help="Such as: Account 100001 USD."),
    RtxField("group", "Group"),
    RtxField("currency", "Currency"),
    RtxField("leverage", "Leverage", "number"),
    RtxField("status", "Status", choices=("active", "close_only", "disabled")),
    RtxField("balance", "Balance", "number"),
    RtxField("credit", "Credit", "number"),
    RtxField("opened_at", "Opened", "datetime"),
    RtxField("last_deal_at", "Last deal", "datetime"),
    RtxField("lots_traded", "Lots traded", "number", help="Volume of all deals, opening and closing."),
)
CATALOG: Mapping[str, Mapping[str, RtxField]] = {
    "client": {field.name: field for field in CLIENT_FIELDS},
    "account": {field.name: field for field in ACCOUNT_FIELDS},
}
ACTIVITY = frozenset({"balance", "credit", "deposits", "withdrawals", "lots_traded", "last_deal_at"})


def field_of(kind: str, name: str) -> RtxField | None:
    """Return a field of the catalog; None: there is no such field."""
    return CATALOG.get(kind, {}).get(name)
