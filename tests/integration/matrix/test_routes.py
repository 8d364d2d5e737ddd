"""Every other route by every method, times every role and reach: REST, own pages, sign-in, health."""

import pytest

from tests.integration.matrix import declared
from tests.integration.matrix.asking import Asker, said
from tests.integration.matrix.broker import Broker


@pytest.mark.parametrize("role", declared.ROLES)
def test_routes(role: str, broker: Broker) -> None:
    asker = Asker(broker, role)
    wrong = []
    for key, line in declared.routes().items():
        for side in asker.sides(key):
            got, wanted = said(asker.route(key, side)), declared.answer(line.words[role], side)
            if got != wanted:
                wrong.append(f"{key} ({side}): {got}, declared {wanted}")

    assert wrong == []
