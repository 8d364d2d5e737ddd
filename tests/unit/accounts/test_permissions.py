"""What each staff role may do."""

import pytest

from apps.accounts.permissions import VIEW_PERSONAL_DATA, VIEW_VALUE_AT_RISK, masked, role_enters, role_grants


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
        ("support", VIEW_PERSONAL_DATA, True),
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


def test_a_role_enters_only_apps_it_has_rights_in() -> None:
    assert role_enters("support", "trading")
    assert not role_enters("support", "auditlog")
    assert not role_enters("trader", "trading")


def test_the_change_log_shows_nothing_of_a_masked_value() -> None:
    assert masked("Featherstone") == "****"
    assert masked("") == ""
