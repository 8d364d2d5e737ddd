"""What the dashboard and `/ws/staff` push, times every role: the declared parts, of the own reach."""

import pytest

from apps.console.selectors import dashboard
from apps.console.services import live
from tests.integration.matrix import declared
from tests.integration.matrix.broker import Broker


@pytest.mark.parametrize("role", declared.STAFF_ROLES)
def test_parts(role: str, broker: Broker) -> None:
    reach, may = live.view_of(broker.users[role])
    pushed = dashboard.dashboard(reach=reach, may=may)
    shown = {**pushed, **pushed["waiting"], "risk": pushed["near"]}
    got = {part: "-" if shown[part] is None else "x" for part in live.RIGHTS}

    assert got == {part: line.words[role] for part, line in declared.parts().items()}
    assert reach == (None if role == "superadmin" else {broker.sides["own"].group.pk})
