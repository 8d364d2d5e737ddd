"""What requests of staff about clients, reviews and users may contain. Form only, nothing unknown."""

from datetime import date
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from apps.accounts.api.inputs import Email, Password
from rtx.kernel import openapi
from rtx.kernel.rest import Input

PLAIN = r"^[^\x00-\x1f]*\Z"
Reason = Annotated[str, Meta(min_length=3, max_length=200, pattern=r"^[^\x00]*[^\x00\s][^\x00]*\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=PLAIN)]
Phone = Annotated[str, Meta(max_length=31, pattern=r"^([+0-9][0-9 ()/.-]{4,30})?\Z")]
Address = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*\Z")]
DocumentNumber = Annotated[str, Meta(max_length=40, pattern=PLAIN)]
Country = Annotated[str, Meta(max_length=2, pattern=r"^([A-Z]{2})?\Z")]
GroupName = Annotated[str, Meta(min_length=1, max_length=40, pattern=PLAIN)]
Leverage = Annotated[int, Meta(ge=1, le=10_000)]


@openapi.example(
    {
        "email": "anna@example.com",
        "first_name": "Anna",
        "last_name": "Ahlberg",
        "country": "SE",
        "group": "standard",
        "reason": "Signed up at the branch",
    }
)
class NewClientIn(Input):
    """POST /api/admin/client/create. With a `group`, a first account is opened too."""

    email: Email
    first_name: Name
    last_name: Name
    reason: Reason
    phone: Phone = ""
    address: Address = ""
    birth_date: date | None = None
    document_number: DocumentNumber = ""
    country: Country = ""
    group: GroupName | None = None
    leverage: Leverage | None = None


@openapi.example({"last_name": "Sommerfeld", "reason": "Married, certificate seen"})
class ClientIn(Input):
    """PUT /api/admin/client/{id}: what is absent stays."""

    reason: Reason
    email: Email | UnsetType = UNSET
    first_name: Name | UnsetType = UNSET
    last_name: Name | UnsetType = UNSET
    phone: Phone | UnsetType = UNSET
    address: Address | UnsetType = UNSET
    birth_date: date | UnsetType | None = UNSET
    document_number: DocumentNumber | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


@openapi.example({"email": "anna@example.com"})
class ClientSearchIn(Input):
    """POST /api/admin/clients/search: one exact text. It stands in the body, because addresses are logged."""

    email: Annotated[str, Meta(max_length=254)] | None = None
    phone: Annotated[str, Meta(max_length=40)] | None = None
    last_name: Annotated[str, Meta(max_length=80)] | None = None
    document_number: Annotated[str, Meta(max_length=40)] | None = None


@openapi.example({"reason": "Client called, ticket 4711"})
class ClientReasonIn(Input):
    """Why something is done: it goes into the staff log."""

    reason: Reason


@openapi.example({"group": "standard", "leverage": 100, "reason": "Client asked for a second account"})
class NewAccountIn(Input):
    """POST /api/admin/client/{id}/account."""

    group: GroupName
    reason: Reason
    leverage: Leverage | None = None


@openapi.example(
    {"decision": "verified", "valid_until": "2028-11-21", "reason": "Passport and address match"}
)
class KycDecisionIn(Input):
    """POST /api/admin/kyc/{id}/decide."""

    decision: Literal["verified", "rejected"]
    reason: Reason
    valid_until: date | None = None


@openapi.example(
    {"email": "dealer@example.com", "role": "dealer", "display_name": "Dora", "reason": "New hire"}
)
class NewUserIn(Input):
    """POST /api/admin/user/create: staff alone; traders are opened as clients. The password is set apart."""

    email: Email
    role: Literal["superadmin", "admin", "dealer", "support", "auditor"]
    reason: Reason
    display_name: Annotated[str, Meta(max_length=80, pattern=PLAIN)] = ""


@openapi.example({"is_active": True, "reason": "Back from leave"})
class UserIn(Input):
    """PUT /api/admin/user/{id}: what is absent stays. Role and rights are not changed here."""

    reason: Reason
    display_name: Annotated[str, Meta(max_length=80, pattern=PLAIN)] | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


@openapi.example({"new": "another good phrase 42", "reason": "Client forgot it, identity checked"})
class NewPasswordIn(Input):
    """POST /api/admin/user/{id}/password."""

    new: Password
    reason: Reason
