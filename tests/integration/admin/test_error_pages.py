"""What a person sees where there is no page: why, and that nothing was changed."""

import pytest
from django.test import Client, RequestFactory

from rtx.kernel import rest
from tests.factories.house import staff
from tests.factories.staff import signed_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("address", "status", "told"),
    [
        (
            "/admin/accounts/tradingaccount/?user__password__startswith=a",
            400,
            "This cannot be answered",
        ),
        ("/admin/accounts/tradingaccount/999999/change/", 404, "Nothing is here"),
        ("/admin/nothing/", 404, "Nothing is here"),
        ("/admin/accounts/reachgrant/add/", 403, "This is not yours to do"),
    ],
)
def test_a_page_that_is_not_there_says_why(address: str, status: int, told: str) -> None:
    answer = signed_in(staff("dealer@example.com", role="dealer")).get(address)

    assert answer.status_code == status
    assert told in answer.content.decode()


def test_a_form_that_ran_out_says_so() -> None:
    http = Client(enforce_csrf_checks=True)

    answer = http.post("/admin/login/", {"email": "a@example.com"})

    assert answer.status_code == 403
    assert "This page was open for too long" in answer.content.decode()


def test_a_fault_of_ours_is_told_without_its_details() -> None:
    try:
        raise RuntimeError("secret detail")
    except RuntimeError:
        answer = rest.server_error(RequestFactory().get("/admin/"))

    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.content.decode()
    assert "secret detail" not in answer.content.decode()
