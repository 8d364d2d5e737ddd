"""What was given up: kept, sent again or dropped by staff."""

from apps.crm.models import DeadLetter
from rtx.kernel.actor import Actor


def replay(*, dead_letter_id: int, actor: Actor) -> DeadLetter:
    """
    Let what was given up be tried again at once. Logged.

    :raises NotFound: `dead_letter_not_found`.
    :raises Conflict: `dead_letter_resolved`.
    """
    raise NotImplementedError


def drop(*, dead_letter_id: int, actor: Actor) -> DeadLetter:
    """Leave what was given up as it is; the next change of the customer is sent again. As `replay`."""
    raise NotImplementedError
