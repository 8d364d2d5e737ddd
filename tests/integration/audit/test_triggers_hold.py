"""No session switches the triggers off that keep rows, though their library has a setting for it."""

import pgtrigger
import pytest
from django.db import DatabaseError, connection

from apps.audit.models import Approval
from apps.groups.models import TradingGroup
from tests.factories.house import make_house

ASKED = """
    INSERT INTO audit_approval (id, kind, content, content_hash, summary, maker_id, maker, reason, created_at,
        expires_at, status, checker, check_reason, outcome)
    VALUES (gen_random_uuid(), 'test.note', '{}', encode(sha256('{}'), 'hex'), 'Note', 1, 'staff:user:1',
        'why', now(), now() + interval '1 hour', 'pending', '', '', '{}')
"""


def test_the_content_of_an_approval_stays_bound(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ASKED)

    with pgtrigger.ignore(), pytest.raises(DatabaseError, match=r"cannot change|changes once"):
        Approval.objects.update(content='{"amount":"1"}')


def test_levels_of_a_group_stay_bound(db: None) -> None:
    make_house()

    with pgtrigger.ignore(), pytest.raises(DatabaseError):
        TradingGroup.objects.update(stop_out_pct=1)
