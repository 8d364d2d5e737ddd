"""
Secrets and personal data that are known beforehand, sent through the flows that take them, then looked for
everywhere: each table of the database, all log output, the bodies of errors, the export of the staff log.
"""

import html
import json
import logging
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.accounts.api.auth import AddressThrottle
from apps.accounts.models import Client as Person
from apps.accounts.models import User
from apps.audit.models import StaffAction
from rtx.local.otp import code_at
from tests.factories.house import House, make_house
from tests.factories.staff import SECRET, code, signed_in, token_of, with_app

FIRST = "Canary-first-passphrase-71"
SECOND = "Canary-second-passphrase-72"
THIRD = "Canary-third-passphrase-73"
TYPED = "Canary-mistyped-passphrase-74"
PERSON = {
    "first_name": "Canaryfirst",
    "last_name": "Canarylast",
    "phone": "+49 170 9998877",
    "email": "canary.client@example.com",
    "address": "Canary Street 77",
}
DOCUMENT = b"%PDF-1.7 Canarydocument of the person"
REASON = "the client called us"
SIGN_IN_NAMES = {"public.accounts_user": {"email"}}  # whoever signs in is found by it


class Heard(logging.Handler):
    """Keeps all that is logged, with what else a record carries."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.args} {record.exc_info} {record.exc_text}")


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler, root = Heard(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def house(db: None) -> House:
    AddressThrottle._bucket._levels.clear()
    return make_house()


class Flows:
    """What staff and clients do with secrets; every answer that is an error is kept."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.boss = with_app(User.objects.create_superuser("boss@example.com", FIRST))
        self.canaries = {"password 1": FIRST, "password 2": SECOND, "password 3": THIRD, "mistyped": TYPED}
        self.canaries |= {"secret": SECRET} | PERSON | {"document": "Canarydocument"}
        self.errors: list[str] = []
        self.done: list[int] = []
        self.pages: list[str] = []
        self.told: list[str] = []

    def call(self, method: str, path: str, body: Any, *, token: str = "", is_raw: bool = False) -> Any:
        answer = Client(raise_request_exception=False).generic(
            method,
            f"/api/{path}",
            body if is_raw else json.dumps(body),
            content_type="application/pdf" if is_raw else "application/json",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            HTTP_IDEMPOTENCY_KEY=uuid4().hex,
        )
        if answer.status_code >= 400:
            self.errors.append(answer.content.decode())
        else:
            self.done.append(answer.status_code)
        return answer

    def sign_in(self) -> None:
        http = Client()
        given = code()
        self.canaries["code"] = given
        login = reverse("admin:login")
        self.errors.append(http.post(login, {"login": self.boss.email, "password": TYPED}).content.decode())
        http.post(login, {"login": self.boss.email, "password": FIRST})
        http.post("/admin/login/code/", {"code": "000000"})
        answer = http.post("/admin/login/code/", {"code": given})
        assert (answer.status_code, answer["Location"]) == (302, "/admin/")
        passwords = {"old_password": FIRST, "new_password1": SECOND, "new_password2": SECOND}
        changed = signed_in(self.boss).post("/admin/password_change/", passwords)
        assert changed.status_code == 302
        for number, one in enumerate(RecoveryCodes.activate(self.boss).get_unused_codes()):
            self.canaries[f"recovery code {number}"] = one

    def use_the_api(self) -> None:
        wrong = {"email": self.boss.email, "password": TYPED, "otp": "000000"}
        self.call("POST", "admin/auth/login", wrong)
        later = code(later_s=30)
        self.canaries["later code"] = later
        pair = self.call("POST", "admin/auth/login", wrong | {"password": SECOND, "otp": later}).json()
        renewed = self.call("POST", "auth/refresh", {"refresh": pair["refresh"]}).json()
        ticket = self.call("POST", "auth/ws-ticket", {}, token=renewed["access"]).json()
        tokens = {f"{name} {n}": one[name] for n, one in enumerate((pair, renewed)) for name in one}
        tokens |= {f"ticket {name}": value for name, value in ticket.items()}
        self.canaries |= {
            key: value for key, value in tokens.items() if isinstance(value, str) and len(value) > 20
        }
        self.call("POST", "auth/login", {"email": "anna@example.com", "password": TYPED})
        self.call("POST", "auth/login", {"email": "anna@example.com", "password": TYPED, "is_staff": True})
        self.call("POST", "auth/password", {"current": TYPED, "new": THIRD}, token=renewed["access"])

    def create_staff(self) -> None:
        out = StringIO()
        call_command(
            "create_staff", "canary.staff@example.com", "--role=dealer", "--group=usd", "--totp", stdout=out
        )
        said = dict(re.findall(r"(initial password|authenticator app): (\S+)", out.getvalue()))
        assert len(said) == 2
        self.canaries |= said | {"code of new staff": code_at(said["authenticator app"])}

    def handle_a_client(self) -> None:
        token = token_of(self.boss)
        person = {**PERSON, "country": "DE"}
        self.call("POST", "admin/client/create", person | {"reason": REASON, "is_staff": True}, token=token)
        made = self.call(
            "POST", "admin/client/create", person | {"group": "usd", "reason": REASON}, token=token
        )
        client = f"admin/client/{self.house.anna.client_id}"
        self.keep(made, "the new client's")
        self.made = Person.objects.get(pk=made.json()["id"])
        change = {"phone": PERSON["phone"], "address": PERSON["address"], "reason": REASON}
        self.call("PUT", client, change, token=token)
        self.call("POST", f"{client}/reveal", {"reason": REASON}, token=token)
        self.call("POST", f"{client}/documents?kind=passport&country=DE", DOCUMENT, token=token, is_raw=True)
        self.call("POST", "admin/clients/search", {"email": PERSON["email"]}, token=token)
        user = f"admin/user/{self.house.bruno.client.user_id}/password"
        self.call("POST", user, {"new": THIRD, "reason": REASON}, token=token)
        self.call("POST", user, {"password": THIRD, "reason": REASON}, token=token)

    def use_the_pages(self) -> None:
        """Everything that a page shows by right is in `told`, what it shows otherwise in `pages`."""
        self.boss.refresh_from_db()  # a session of the old password opens nothing
        http, key = signed_in(self.boss), self.made.pk
        sent = {"operator_confirmed": "1", "reason": REASON, "request_key": uuid4().hex}

        def at(name: str, *args: Any) -> str:
            return reverse(f"admin:{name}", args=args)

        file = SimpleUploadedFile("Canarylast.pdf", DOCUMENT, content_type="application/pdf")
        http.post(at("accounts_client_add_document", key), {**sent, "kind": "passport", "file": file})
        http.post(at("accounts_client_change_person", key), {**sent, "address": PERSON["address"]})
        document, review = self.made.kyc_documents.get(), self.made.kyc_reviews.get()
        export = {**sent, "format": "csv"}
        self.told = [
            text_of(http.post(at("accounts_client_reveal", key), sent)),
            text_of(http.post(at("accounts_kycdocument_download", document.pk), sent)),
            text_of(http.post(at("accounts_client_export"), {**export, "personal": "on"})),
        ]
        http.post(at("accounts_kycreview_take", review.pk), sent)
        http.post(at("accounts_kycreview_approve", review.pk), sent)
        self.pages = [
            text_of(http.post(at("accounts_client_export"), export)),
            text_of(http.post(at("accounts_tradingaccount_export"), export)),
            text_of(http.get(at("accounts_kycreview_changelist"), {"state": "all"})),
            text_of(http.get(at("accounts_client_changelist"), {"q": PERSON["phone"]})).replace(
                html.escape(PERSON["phone"]), ""
            ),  # what one has just searched for stands in the search box
        ]
        for table, row in (("client", key), ("kycreview", review.pk), ("kycdocument", document.pk)):
            self.pages.append(text_of(http.get(at(f"accounts_{table}_change", row))))
            self.pages.append(text_of(http.get(at(f"accounts_{table}_history", row))))
        for table in ("audit_staffaction", "auditlog_logentry", "accounts_user", "accounts_tradingaccount"):
            self.pages.append(text_of(http.get(at(f"{table}_changelist"))))

    def keep(self, answer: Any, whose: str) -> None:
        """Remember the initial password that an answer tells once."""
        secrets = {
            f"{whose} {name}": value
            for name, value in answer.json().items()
            if "password" in name and isinstance(value, str)
        }
        self.canaries |= secrets


def text_of(answer: Any) -> str:
    """Return what was answered."""
    assert answer.status_code == 200
    body: bytes = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return body.decode()


def stored() -> Iterator[tuple[str, str]]:
    """Yield every row of every table as text, binary columns also decoded."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute("SELECT has_table_privilege(%s, 'SELECT')", [table])
            if cursor.fetchone()[0]:
                cursor.execute(f"SELECT t::text FROM {table} t")
                yield table, "\n".join(row for (row,) in cursor.fetchall())


def found(canaries: dict[str, str], text: str) -> set[str]:
    """Return the names of the canaries in a text, digits only where they stand alone, bytes as hex too."""
    names = set()
    for name, value in canaries.items():
        shape = rf"(?<![\d.:+-]){value}(?!\d)" if value.isdigit() else re.escape(value)
        if re.search(shape, text) or value.encode().hex() in text:
            names.add(name)
    return names


def test_no_canary_is_kept_or_told(house: House, heard: Heard) -> None:
    flows = Flows(house)
    flows.sign_in()
    flows.use_the_api()
    flows.create_staff()
    flows.handle_a_client()
    flows.use_the_pages()
    rows = [str(key) for key in StaffAction.objects.values_list("pk", flat=True)]
    given = {"action": "export_csv", "index": "0", "_selected_action": rows}
    export = signed_in(flows.boss).post(reverse("admin:audit_staffaction_changelist"), given)
    places = dict(stored())
    places["log"] = "\n".join(heard.lines)
    places["errors"] = "\n".join(flows.errors)
    places["export"] = text_of(export)
    places |= {f"page {number}": text for number, text in enumerate(flows.pages)}

    assert len(flows.done) >= 9
    assert len(flows.errors) >= 5
    assert len(flows.canaries) > 20
    assert StaffAction.objects.filter(operation="accounts.reveal_client").count() == 2
    assert [len(found(flows.canaries, html.unescape(text))) for text in flows.told] == [5, 1, 5]
    assert {
        place: names for place, text in places.items() if (names := found(flows.canaries, text))
    } == SIGN_IN_NAMES


def test_what_is_looked_for_is_found() -> None:
    assert found({"a": "Canary", "b": "123456"}, "x 123456 y") == {"b"}
    assert found({"a": "Canary"}, b"my Canary".hex()) == {"a"}
    assert found({"b": "123456"}, "12:00:00.123456 and 91234567") == set()
