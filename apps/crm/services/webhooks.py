"""
What providers send: checked on the raw bytes, stored sealed, answered; looked at later by a task. A delivery
or an event that came before does nothing. Pulls named records through `pulling`, trusts no field of an event.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that is stored (`is_new`) or was before, and how it is answered."""

    is_new: bool
    body: bytes
    content_type: str


def retry(*, delivery_id: int) -> None:
    """Queue a delivery that was given up once more (its dead letter is the caller's)."""
    raise NotImplementedError


def process_due(*, limit: int = 200) -> int:
    """Look at deliveries that wait (parallel workers share them); return how many were finished."""
    raise NotImplementedError
