"""Staff who have set up no second factor: nothing opens but setting one up, on no page and over no call."""

from django.test import Client

from apps.accounts.models import StaffSession
from apps.accounts.services import tokens
from tests.factories.staff import signed_in
from tests.integration.matrix import declared, surface
from tests.integration.matrix.asking import Asker
from tests.integration.matrix.broker import Broker

OPEN = ("auth/login", "crm/oauth/callback")  # the latter only leads on, to a page behind the sign-in


def test_no_page_of_a_table_opens(broker: Broker) -> None:
    asker = Asker(broker, "superadmin")
    asker.http = unproved(broker)
    opened = []
    for label in surface.registry():
        for page in ("changelist", "add"):
            read, sent = asker.get(label, page), asker.post(label, page)
            if (read.status_code, read.get("Location")) != (302, "/admin/second-factor/"):
                opened.append(f"get {label} {page}")
            if sent.status_code != 403:
                opened.append(f"post {label} {page}")

    assert opened == []


def test_no_call_for_staff_is_answered(broker: Broker) -> None:
    asker = Asker(broker, "superadmin")
    token = tokens.issue(user_id=broker.users["superadmin"].pk).access
    broker.token = lambda role: token  # type: ignore[method-assign]
    keys = [key for key in declared.routes() if " api/admin/" in key and not key.endswith(OPEN)]
    answered = [key for key in keys if asker.route(key, "own").status_code != 403]

    assert len(keys) > 40
    assert answered == []


def unproved(broker: Broker) -> Client:
    """Return a browser in which somebody has signed in by their password alone."""
    http = signed_in(broker.users["superadmin"])
    StaffSession.objects.filter(session_key=http.session.session_key).update(proved_at=None)
    return http
