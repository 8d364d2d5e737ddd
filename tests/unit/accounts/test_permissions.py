"""What each staff role may do."""

import pytest

from apps.accounts.permissions import (
    VIEW_PERSONAL_DATA,
    VIEW_VALUE_AT_RISK,
    masked,
    may_manage,
    rights_of,
    role_grants,
    unknown_rights,
)


@pytest.mark.parametrize(
    ("role", "permission", "granted"),
    [
        ("admin", "market.change_symbol", True),
        ("admin", VIEW_PERSONAL_DATA, True),
        ("admin", "auditlog.delete_logentry", False),
        ("dealer", "trading.close_position", True),
        ("dealer", "market.change_symbol", False),
        ("dealer", VIEW_PERSONAL_DATA, False),
        ("admin", VIEW_VALUE_AT_RISK, True),
        ("auditor", VIEW_VALUE_AT_RISK, True),
        ("dealer", VIEW_VALUE_AT_RISK, False),
        ("support", "accounts.change_client", True),
        ("support", VIEW_PERSONAL_DATA, False),
        ("support", "trading.close_position", False),
        ("auditor", "trading.view_deal", True),
        ("auditor", "trading.change_deal", False),
        ("auditor", VIEW_PERSONAL_DATA, False),
        ("trader", "trading.view_order", False),
        ("unknown", "trading.view_order", False),
    ],
)
def test_a_role_carries_its_rights(role: str, permission: str, granted: bool) -> None:
    assert role_grants(role, permission) is granted


def test_a_new_right_of_the_business_goes_to_neither_dealers_nor_support() -> None:
    new = ["funds.view_vault", "trading.reverse_everything", "accounts.change_tradingaccount"]

    assert {role: rights_of(role, new) for role in ("admin", "dealer", "support", "auditor")} == {
        "admin": set(new),
        "dealer": set(),
        "support": set(),
        "auditor": {"funds.view_vault"},
    }


def test_a_slip_in_the_name_of_a_right_is_found() -> None:
    assert "trading.close_position" in unknown_rights(["trading.view_order"])
    assert "trading.view_order" not in unknown_rights(["trading.view_order"])


@pytest.mark.parametrize(
    ("role", "others"),
    [
        ("superadmin", {"auditor", "support", "dealer", "admin", "superadmin"}),
        ("admin", {"auditor", "support", "dealer"}),
        ("dealer", set()),
        ("support", set()),
        ("auditor", set()),
    ],
)
def test_nobody_gives_a_role_of_their_own_rank_or_above(role: str, others: set[str]) -> None:
    every = {"auditor", "support", "dealer", "admin", "superadmin"}

    assert {other for other in every if may_manage(role, other)} == others


def test_the_change_log_shows_nothing_of_a_masked_value() -> None:
    assert masked("Featherstone") == "****"
    assert masked("") == ""
