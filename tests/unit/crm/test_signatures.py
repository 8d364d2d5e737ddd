"""Proofs of webhooks, against HubSpot's own published examples and numbers recomputed by hand."""

import hashlib
import hmac

import pytest

from apps.crm.domain import signatures

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URI = "https://www.example.com/webhook_uri"
BODY = b"{'example_field':'example_value'}"
STAMP = "1693657560000"


def test_hubspot_s_own_example_of_version_3():
    found = signatures.hubspot_v3(secret=SECRET, method="POST", uri=URI, body=BODY, timestamp=STAMP)

    assert found == "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="


@pytest.mark.parametrize(
    ("method", "body", "begin"), [("POST", BODY, "4fe4e3a7d3cf09db"), ("GET", b"", "eee2dddcc73c94d6")]
)
def test_hubspot_s_own_examples_of_version_2(method, body, begin):
    found = signatures.hubspot_v2(secret=SECRET, method=method, uri=URI, body=body)

    assert found.startswith(begin)


def test_hubspot_s_own_example_of_version_1():
    assert signatures.hubspot_v1(secret=SECRET, body=BODY).startswith("69fc6631a867edd4")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("method", "PUT"),
        ("uri", URI + "?a=1"),
        ("body", BODY + b" "),
        ("timestamp", "1693657560001"),
        ("secret", "x"),
    ],
)
def test_every_part_of_the_request_is_signed(part, value):
    asked = {"secret": SECRET, "method": "POST", "uri": URI, "body": BODY, "timestamp": STAMP}

    assert signatures.hubspot_v3(**asked) != signatures.hubspot_v3(**{**asked, part: value})


def test_the_order_of_the_query_is_kept():
    asked = {"secret": SECRET, "method": "POST", "body": BODY, "timestamp": STAMP}

    assert signatures.hubspot_v3(uri=f"{URI}?b=1&a=2", **asked) != signatures.hubspot_v3(
        uri=f"{URI}?a=2&b=1", **asked
    )


def test_hubspot_decodes_reserved_characters_before_it_signs():
    assert (
        signatures.hubspot_uri("https://x.example/a%2Fb%3a?c=%40d%20e#f") == "https://x.example/a/b:?c=@d%20e"
    )


@pytest.mark.parametrize(("age_ms", "is_fresh"), [(0, True), (300_000, True), (300_001, False), (-1, False)])
def test_the_window_is_five_minutes_and_does_not_reach_into_the_future(age_ms, is_fresh):
    assert signatures.is_fresh(1_693_657_560_000 - age_ms, now_ms=1_693_657_560_000) is is_fresh


def test_an_hmac_is_believed_in_hexadecimal_and_base64_with_and_without_its_mark():
    proof = hmac.new(b"secret", b"body", hashlib.sha256).hexdigest()

    assert signatures.is_hmac(proof, secret="secret", body=b"body")
    assert signatures.is_hmac(f"sha256={proof}", secret="secret", body=b"body")
    assert signatures.is_hmac(signatures.hmac_base64("secret", b"body"), secret="secret", body=b"body")


@pytest.mark.parametrize("given", ["", "sha256=", "0" * 64, "é"])
def test_a_wrong_hmac_is_not_believed(given):
    assert not signatures.is_hmac(given, secret="secret", body=b"body")


def test_without_a_secret_nothing_is_believed():
    assert not signatures.is_hmac(signatures.hmac_hex("", b"body"), secret="", body=b"body")
    assert not signatures.same("", "")


def test_the_parts_of_a_digest_do_not_run_into_each_other():
    assert signatures.digest(b"ab", b"c") != signatures.digest(b"a", b"bc")
    assert len(signatures.digest(b"a")) == 64
