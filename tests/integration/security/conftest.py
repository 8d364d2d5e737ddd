"""The broker of the permission matrix: in every table a row within and one outside the reach of staff."""

import pytest
from django.template.response import SimpleTemplateResponse
from unfold.sites import UnfoldAdminSite

from tests.integration.matrix.conftest import broker, seeded_database

__all__ = ["broker", "seeded_database"]


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decide, but write no pages: what is asked here is decided before a template is rendered."""
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", property(lambda self: ""))
    monkeypatch.setattr(UnfoldAdminSite, "get_sidebar_list", lambda *_args: [])
