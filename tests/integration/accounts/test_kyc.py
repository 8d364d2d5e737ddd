"""The check of an identity: documents are sealed and die with their client, reviews are decided once."""

import threading
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client as HttpClient
from django.urls import reverse

from apps.accounts.domain import kyc as rules
from apps.accounts.domain.kyc import DocumentRefused, KycRefused, KycStatus
from apps.accounts.models import Client, KycContent, KycDocument, KycReview, User
from apps.accounts.services import clients, kyc
from apps.audit.models import StaffAction
from rtx.kernel import clock
from rtx.kernel.errors import Invalid, NotFound
from tests.factories.house import House, make_house, staff
from tests.factories.staff import signed_in, token_of
from tests.integration.accounts.test_client_pages import CONFIRMED, allow

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.7 passport of Ahlberg"


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def reviewer(house: House) -> User:
    user = staff("reviewer@example.com", role=User.Role.ADMIN, groups=(house.usd,))
    return allow(
        user,
        "view_client",
        "view_kycreview",
        "view_kycdocument",
        "decide_kycreview",
        "download_kycdocument",
        "add_kycdocument",
    )


def submitted(client: Client, by: User) -> KycReview:
    kyc.add_document(client_id=client.pk, kind="passport", content=PDF, by_id=by.pk, country="SE")
    return KycReview.objects.get(client=client, decision="")


def test_the_first_document_begins_a_review_and_is_kept_sealed(house: House, reviewer: User) -> None:
    review = submitted(house.anna.client, reviewer)

    client = Client.objects.get(pk=house.anna.client_id)
    document = KycDocument.objects.get()
    assert (client.kyc_status, review.assignee) == ("pending", None)
    assert (document.media_type, document.size_bytes) == ("application/pdf", len(PDF))
    assert b"Ahlberg" not in bytes(KycContent.objects.get().sealed)
    assert kyc.read_document(document) == PDF


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "document_refused"),
        (b"<svg onload=alert(1)>", "document_type"),
        (b"MZ\x90\x00", "document_type"),
        (b"%PDF-" + b"0" * rules.DOCUMENT_BYTES_MAX, "document_too_large"),
    ],
)
def test_content_decides_what_a_document_is(house: House, reviewer: User, content: bytes, code: str) -> None:
    with pytest.raises(DocumentRefused) as refused:
        kyc.add_document(client_id=house.anna.client_id, kind="passport", content=content, by_id=reviewer.pk)

    assert refused.value.code == code
    assert not KycDocument.objects.exists()


def test_an_expired_document_is_refused(house: House, reviewer: User) -> None:
    yesterday = clock.now().date() - timedelta(days=1)

    with pytest.raises(Invalid) as refused:
        kyc.add_document(
            client_id=house.anna.client_id,
            kind="passport",
            content=PDF,
            by_id=reviewer.pk,
            expires_on=yesterday,
        )

    assert refused.value.code == "document_expired"


def test_approval_until_a_day_expires_by_itself(house: House, reviewer: User) -> None:
    review = submitted(house.anna.client, reviewer)
    until = clock.now().date() + timedelta(days=1)

    client = kyc.approve(review_id=review.pk, by_id=reviewer.pk, reason="all fine", valid_until=until)
    not_yet = kyc.expire_due()
    Client.objects.filter(pk=client.pk).update(kyc_valid_until=until - timedelta(days=2))
    expired = kyc.expire_due()

    assert (client.kyc_status, not_yet, expired) == ("verified", 0, 1)
    assert Client.objects.get(pk=client.pk).kyc_status == "expired"
    assert kyc.submit(client_id=client.pk).decision == ""


def test_a_rejection_begins_anew_with_the_next_document(house: House, reviewer: User) -> None:
    review = submitted(house.anna.client, reviewer)
    kyc.reject(review_id=review.pk, by_id=reviewer.pk, reason="blurred")
    again = submitted(house.anna.client, reviewer)

    review.refresh_from_db()
    assert (review.decision, review.reason, review.decided_by_id) == ("rejected", "blurred", reviewer.pk)
    assert again.pk != review.pk


def test_steps_that_the_table_lacks_are_refused(house: House, reviewer: User) -> None:
    review = submitted(house.anna.client, reviewer)
    with pytest.raises(KycRefused):
        kyc.submit(client_id=house.anna.client_id)
    kyc.approve(review_id=review.pk, by_id=reviewer.pk, reason="all fine")

    with pytest.raises(KycRefused):
        kyc.reject(review_id=review.pk, by_id=reviewer.pk, reason="changed my mind")
    assert {status: sorted(rules.NEXT[status]) for status in KycStatus} == {
        "none": ["pending"],
        "pending": ["rejected", "verified"],
        "verified": ["expired", "pending"],
        "rejected": ["pending"],
        "expired": ["pending"],
    }


def test_without_a_document_nobody_is_verified(house: House, reviewer: User) -> None:
    review = kyc.submit(client_id=house.anna.client_id)

    with pytest.raises(KycRefused) as refused:
        kyc.approve(review_id=review.pk, by_id=reviewer.pk, reason="trust me")

    assert refused.value.code == "no_document"


def test_somebody_elses_review_is_left_alone(house: House, reviewer: User) -> None:
    other = staff("other@example.com")
    review = submitted(house.anna.client, reviewer)
    kyc.take(review_id=review.pk, by_id=other.pk)

    for step in (
        lambda: kyc.take(review_id=review.pk, by_id=reviewer.pk),
        lambda: kyc.reject(review_id=review.pk, by_id=reviewer.pk, reason="no"),
    ):
        with pytest.raises(kyc.ReviewTaken):
            step()
    kyc.put_back(review_id=review.pk)
    assert kyc.take(review_id=review.pk, by_id=reviewer.pk).assignee_id == reviewer.pk


def test_two_who_take_the_next_get_different_ones_oldest_first(house: House, reviewer: User) -> None:
    first, second = submitted(house.anna.client, reviewer), submitted(house.bruno.client, reviewer)
    other = staff("other@example.com")
    taken: dict[int, int] = {}
    gate = threading.Barrier(2)

    def take(user_id: int) -> None:
        gate.wait()
        found = kyc.take_next(among=KycReview.objects.all(), by_id=user_id)
        taken[user_id] = found.pk if found else 0
        connection.close()

    threads = [threading.Thread(target=take, args=[user.pk]) for user in (reviewer, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken.values()) == [first.pk, second.pk]
    assert kyc.take_next(among=KycReview.objects.all(), by_id=other.pk) is None


def test_erasing_takes_the_documents_too(house: House, reviewer: User) -> None:
    submitted(house.anna.client, reviewer)
    document = KycDocument.objects.get()
    kept = bytes(KycContent.objects.get().sealed)

    clients.erase(client_id=house.anna.client_id)

    document = KycDocument.objects.select_related("client").get()
    with pytest.raises(NotFound):
        kyc.read_document(document)
    assert not KycContent.objects.exists()
    with pytest.raises(Exception, match="erased"):
        document.client.open_content(kept, place=KycContent(document=document).place())


def test_the_queue_page_takes_and_decides_with_a_log(house: House, reviewer: User) -> None:
    review = submitted(house.anna.client, reviewer)
    foreign = submitted(house.bruno.client, reviewer)
    http, queue = signed_in(reviewer), reverse("admin:accounts_kycreview_changelist")

    listed = http.get(queue)
    taken = http.post(f"{queue}take-next/")
    nothing = http.post(f"{queue}take-next/")
    http.post(f"{queue}{review.pk}/approve/", {**CONFIRMED, "reason": "passport checked", "valid_until": ""})

    assert [row.pk for row in listed.context["cl"].result_list] == [review.pk]
    assert taken["Location"] == f"{queue}{review.pk}/change/"
    assert nothing["Location"] == queue
    assert http.get(f"{queue}{foreign.pk}/change/").status_code == 404
    assert Client.objects.get(pk=house.anna.client_id).kyc_status == "verified"
    logged = StaffAction.objects.filter(target_type="accounts.kycreview").values_list("operation", "reason")
    assert list(logged.order_by("id")) == [
        ("accounts.take_kycreview", ""),
        ("accounts.approve", "passport checked"),
    ]


def test_a_document_comes_as_a_download_with_a_reason(house: House, reviewer: User) -> None:
    submitted(house.anna.client, reviewer)
    document = KycDocument.objects.get()
    http = signed_in(reviewer)
    address = reverse("admin:accounts_kycdocument_change", args=[document.pk]).replace("change", "download")

    asked, without = http.get(address), http.post(address, {**CONFIRMED, "reason": ""})
    answer = http.post(address, {**CONFIRMED, "reason": "review"})

    assert b"Ahlberg" not in asked.content + without.content
    assert (answer.content, answer["Content-Type"]) == (PDF, "application/pdf")
    assert answer["Content-Disposition"] == (
        f'attachment; filename="client-{house.anna.client.number}-passport.pdf"'
    )
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer["Cache-Control"]
    assert StaffAction.objects.get(operation="accounts.download_document").reason == "review"


def test_who_signed_in_long_ago_opens_no_document(house: House, reviewer: User) -> None:
    submitted(house.anna.client, reviewer)
    document = KycDocument.objects.get()
    address = reverse("admin:accounts_kycdocument_change", args=[document.pk]).replace("change", "download")

    page = signed_in(reviewer, proved_s_ago=3600).post(address, {**CONFIRMED, "reason": "review"})
    call = HttpClient().post(
        f"/api/admin/kyc/document/{document.pk}",
        {"reason": "review"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {token_of(reviewer, proved_s_ago=3600)}"},
    )

    assert (page.status_code, page["Location"].split("?")[0]) == (302, reverse("mfa_reauthenticate"))
    assert (call.status_code, call.json()["code"]) == (401, "reauthentication_required")
    assert not StaffAction.objects.filter(operation="accounts.download_document").exists()


def test_a_file_is_uploaded_on_the_clients_page(house: House, reviewer: User) -> None:
    address = reverse("admin:accounts_client_change", args=[house.anna.client_id]).replace(
        "change", "add_document"
    )
    upload = SimpleUploadedFile("ahlberg-passport.pdf", PDF, content_type="text/html")
    form = {**CONFIRMED, "kind": "passport", "country": "se", "expires_on": "", "file": upload}
    form["reason"] = "sent by post"

    done = signed_in(reviewer).post(address, form)

    assert done.status_code == 302
    assert KycDocument.objects.get().country == "SE"
    entry = StaffAction.objects.get(operation="accounts.add_document")
    assert entry.after == {"kind": "passport", "country": "SE", "file": "****"}
    assert entry.reason == "sent by post"
    assert "ahlberg" not in f"{entry.detail}{entry.target_label}".lower()


def test_without_the_rights_nothing_is_opened_or_decided(house: House, reviewer: User) -> None:
    submitted(house.anna.client, reviewer)
    viewer = allow(
        staff("viewer@example.com", role=User.Role.DEALER, groups=(house.usd,)),
        "view_kycreview",
        "view_kycdocument",
    )
    http, review, document = signed_in(viewer), KycReview.objects.get(), KycDocument.objects.get()

    answers = [
        http.post(f"/admin/accounts/kycreview/{review.pk}/approve/", {**CONFIRMED, "reason": "yes"}),
        http.post("/admin/accounts/kycreview/take-next/"),
        http.post(f"/admin/accounts/kycdocument/{document.pk}/download/", {**CONFIRMED, "reason": "look"}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
