"""
Pairs of fields: what stands against one, what a new connection begins with, and the fields of a CRM made of
RTX's values. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from apps.crm.domain.fields import Value, field_of
from apps.crm.domain.texts import TEXT_MAX, Unfit
from apps.crm.domain.transforms import DECIMALS_MAX, TRANSFORMS, outward

Direction = Literal["push", "pull", "newest"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One field of RTX and one of a CRM; see the model `FieldMapping`. Only active ones are synced."""

    rtx_field: str
    crm_field: str
    direction: Direction = "push"
    transform: str = "text"
    options: Mapping[str, Any] = field(default_factory=dict)
    is_active: bool = True

    @property
    def is_pushed(self) -> bool:
        """Whether RTX may write the CRM's field."""
        return self.direction != "pull"

    @property
    def is_pulled(self) -> bool:
        """Whether the CRM may change RTX's field."""
        return self.direction != "push"


@dataclass(frozen=True, slots=True)
class Target:
    """What is known of the field in the CRM (its `type` as in `FieldInfo`)."""

    type: str
    is_read_only: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outward:
    """The fields of a CRM that RTX's values make; `unfit`: RTX fields that do not fit, and why."""

    fields: Mapping[str, str | None]
    unfit: Mapping[str, str]


def problems(kind: str, pair: Pair, target: Target | None = None) -> list[str]:
    """Return what is wrong with a pair; empty: nothing. `target`: the field as the CRM describes it."""
    known = field_of(kind, pair.rtx_field)
    transform = TRANSFORMS.get(pair.transform)
    if known is None:
        return ["There is no such RTX field."]
    if transform is None:
        return ["There is no such transformation."]
    found = []
    if not pair.crm_field.strip():
        found.append("Name the field in the CRM.")
    if pair.direction not in ("push", "pull", "newest"):
        found.append("There is no such direction.")
    if known.type not in transform.takes:
        found.append(f"{transform.label!r} does not take a value of the type {known.type}.")
    if pair.is_pulled and not known.is_pullable:
        found.append(f"{known.label} cannot be changed by a CRM.")
    if pair.is_pulled and transform.inward is None:
        found.append(f"{transform.label!r} cannot be read back.")
    found += _option_problems(pair)
    if target is not None:
        if target.is_read_only and pair.is_pushed:
            found.append("The CRM does not let this field be written.")
        if target.type not in transform.crm_types and not (target.type == "date" and known.type == "date"):
            found.append(f"{transform.label!r} does not fit a CRM field of the type {target.type}.")
    return found


def _option_problems(pair: Pair) -> list[str]:
    if pair.transform == "map":
        kept = pair.options
        if not kept or not all(isinstance(text, str) for text in kept.values()):
            return ["Give the pairs of values."]
        shown = [text for name, text in kept.items() if name != "*"]
        if pair.is_pulled and ("*" in kept or len(set(shown)) != len(shown)):
            return ["What is read back needs one value for each."]
        return []
    found = []
    for option in TRANSFORMS[pair.transform].options:
        given = pair.options.get(option.name)
        is_missing = given is None or given == ""
        if is_missing:
            if option.is_required:
                found.append(f"{option.label}: is needed.")
            continue
        if option.kind == "number":
            least, most = (0, DECIMALS_MAX) if option.name == "decimals" else (1, TEXT_MAX)
            digits = str(given)
            if not (digits.isascii() and digits.isdigit() and least <= int(digits) <= most):
                found.append(f"{option.label}: a number from {least} to {most}.")
        elif not isinstance(given, str) or len(given) > 200:
            found.append(f"{option.label}: a text of at most 200 characters.")
    return found


def unreadable(pairs: Iterable[Pair]) -> list[str]:
    """Return what is wrong with pairs taken together: one CRM field twice, an RTX field pulled twice."""
    there, pulled, found = set(), set(), []
    for pair in pairs:
        if pair.crm_field in there:
            found.append(f"{pair.crm_field} is written twice.")
        if pair.is_pulled and pair.rtx_field in pulled:
            found.append(f"{pair.rtx_field} is read from two fields.")
        there.add(pair.crm_field)
        if pair.is_pulled:
            pulled.add(pair.rtx_field)
    return found


def made(pairs: Iterable[Pair], values: Mapping[str, Value]) -> Outward:
    """Return the CRM fields of a client or account; a value that does not fit leaves out its field alone."""
    fields: dict[str, str | None] = {}
    unfit: dict[str, str] = {}
    for pair in pairs:
        try:
            fields[pair.crm_field] = outward(pair.transform, values.get(pair.rtx_field), pair.options)
        except Unfit as error:
            unfit[pair.rtx_field] = str(error)
    return Outward(fields, unfit)


def email_field(pairs: Sequence[Pair]) -> str:
    """Return the CRM field that holds the e-mail address, by which records are joined; empty: none."""
    return next((pair.crm_field for pair in pairs if pair.rtx_field == "email"), "")


_NAMES = {
    "hubspot": ("firstname", "lastname", "email", "phone", "address", "country"),
    "zoho": ("First_Name", "Last_Name", "Email", "Phone", "Mailing_Street", "Mailing_Country"),
    "salesforce": ("FirstName", "LastName", "Email", "Phone", "MailingStreet", "MailingCountry"),
}
_LEADS = {"Mailing_Street": "Street", "Mailing_Country": "Country"} | {
    "MailingStreet": "Street",
    "MailingCountry": "Country",
}
_BIRTH_DATES = {("zoho", "Contacts"): "Date_of_Birth", ("salesforce", "Contact"): "Birthdate"}
_COMPANY = Pair("number", "Company", "push", "constant", {"value": "Private client"})
_DEALS = {
    ("hubspot", "deals"): (
        Pair("title", "dealname"),
        Pair("balance", "amount", transform="number", options={"decimals": 2}),
    ),
    ("salesforce", "Opportunity"): (
        Pair("title", "Name"),
        Pair("balance", "Amount", transform="number", options={"decimals": 2}),
        Pair("opened_at", "CloseDate", transform="date"),
        Pair("status", "StageName", transform="constant", options={"value": "Closed Won"}),
    ),
    ("zoho", "Deals"): (
        Pair("title", "Deal_Name"),
        Pair("balance", "Amount", transform="number", options={"decimals": 2}),
        Pair("opened_at", "Closing_Date", transform="date"),
        Pair("status", "Stage", transform="constant", options={"value": "Closed Won"}),
    ),
}


def defaults(provider: str, object_name: str, kind: str) -> tuple[Pair, ...]:
    """Return the pairs that a new connection begins with: standard fields that each account there has."""
    if kind == "account":
        title = "name" if provider == "hubspot" else "Name"
        return _DEALS.get((provider, object_name), (Pair("title", title),))
    is_lead = object_name in ("Lead", "Leads")
    renamed = [_LEADS.get(name, name) if is_lead else name for name in _NAMES[provider]]
    first, last, email, phone, address, country = renamed
    pairs = [
        Pair("first_name", first, "newest"),
        Pair("last_name", last, "newest"),
        Pair("email", email),
        Pair("phone", phone, "newest"),
        Pair("address", address, "newest"),
        Pair("country", country, "newest", "country_name"),
    ]
    if (provider, object_name) in _BIRTH_DATES:
        pairs.append(Pair("birth_date", _BIRTH_DATES[provider, object_name], transform="date"))
    return (*pairs, _COMPANY) if is_lead else tuple(pairs)
