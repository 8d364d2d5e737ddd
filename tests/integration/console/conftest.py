"""The broker and the operator of the admin's tests."""

from tests.integration.admin.conftest import _forget, admin_client, house, operator

__all__ = ["_forget", "admin_client", "house", "operator"]
