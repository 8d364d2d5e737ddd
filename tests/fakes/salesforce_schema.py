"""The objects and fields of the Salesforce fake: what a small organization has, and what RTX needs in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

PREFIXES = {
    "Contact": "003",
    "Lead": "00Q",
    "Opportunity": "006",
    "Trading_Account__c": "a01",
    "Organization": "00D",
}


@dataclass(frozen=True)
class Field:
    """A field as `describe` tells it. `length` 0: any."""

    name: str
    type: str = "string"
    length: int = 0
    is_required: bool = False
    is_unique: bool = False
    may_create: bool = True
    may_update: bool = True
    choices: tuple[str, ...] = ()

    @property
    def is_external(self) -> bool:
        """Whether records are found by it."""
        return self.name in ("RTX_Client_Id__c", "RTX_Login__c")

    def as_json(self) -> dict[str, Any]:
        """As `describe` writes it."""
        return {
            "name": self.name,
            "label": self.name.removesuffix("__c").replace("_", " "),
            "type": self.type,
            "length": self.length,
            "nillable": not self.is_required and self.type not in ("boolean", "id"),
            "defaultedOnCreate": self.type == "boolean" or self.name == "OwnerId",
            "createable": self.may_create,
            "updateable": self.may_update,
            "unique": self.is_unique,
            "externalId": self.is_external,
            "idLookup": self.name in ("Id", "Email") or self.is_unique,
            "custom": self.name.endswith("__c"),
            "picklistValues": [
                {"active": True, "defaultValue": False, "label": one, "value": one} for one in self.choices
            ],
        }


def _own(name: str, kind: str) -> Field:
    return Field(name, kind, may_create=False, may_update=False)


SYSTEM = (
    _own("Id", "id"),
    _own("IsDeleted", "boolean"),
    _own("CreatedDate", "datetime"),
    _own("LastModifiedDate", "datetime"),
    _own("SystemModstamp", "datetime"),
    Field("OwnerId", "reference", 18),
)
MASTER = _own("MasterRecordId", "reference")
CLIENT_KEY = Field("RTX_Client_Id__c", length=64, is_unique=True)
LOGIN_KEY = Field("RTX_Login__c", length=20, is_unique=True)
_PERSON = (
    Field("FirstName", length=40),
    Field("LastName", length=80, is_required=True),
    _own("Name", "string"),
    Field("Email", "email", 80),
    Field("Phone", "phone", 40),
    Field("Description", "textarea", 32000),
    Field("HasOptedOutOfEmail", "boolean"),
    Field("Verified__c", "boolean"),
    Field("Balance__c", "double"),
    Field("Last_Deal__c", "datetime"),
    Field("Level__c", "picklist", choices=("New", "Verified")),
    CLIENT_KEY,
)
OBJECTS: dict[str, tuple[Field, ...]] = {
    "Contact": (
        *_PERSON,
        MASTER,
        Field("Birthdate", "date"),
        Field("MailingStreet", "textarea", 255),
        Field("MailingCity", length=40),
        Field("MailingCountry", length=80),
        _own("MailingAddress", "address"),
    ),
    "Lead": (
        *_PERSON,
        MASTER,
        Field("Company", length=255, is_required=True),
        Field("Street", "textarea", 255),
        Field("Country", length=80),
        _own("IsConverted", "boolean"),
    ),
    "Opportunity": (
        Field("Name", length=120, is_required=True),
        Field("StageName", "picklist", is_required=True, choices=("Prospecting", "Closed Won")),
        Field("CloseDate", "date", is_required=True),
        Field("Amount", "currency"),
        Field("ContactId", "reference", 18, may_update=False),
        LOGIN_KEY,
    ),
    "Trading_Account__c": (
        Field("Name", length=80),
        Field("Balance__c", "double"),
        Field("RTX_Client__c", "reference", 18),
        LOGIN_KEY,
    ),
    "Organization": (Field("Name", length=80), _own("IsSandbox", "boolean")),
}


def fields_of(object_name: str) -> dict[str, Field]:
    """Return an object's fields by their name."""
    return by_name((*SYSTEM, *OBJECTS[object_name]))


def by_name(fields: Iterable[Field]) -> dict[str, Field]:
    """Return fields by their name."""
    return {field.name: field for field in fields}
