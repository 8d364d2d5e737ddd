"""Three-way comparison: who wins, what is a conflict, and that nothing goes round in circles."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.crm.domain import merging
from apps.crm.domain.mapping import Pair
from apps.crm.domain.merging import Action, Instants, Seen, decide

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=1)
RTX_LATER, CRM_LATER = Instants(LATER, NOON), Instants(NOON, LATER)
KEEP, PUSH, PULL = Action.KEEP, Action.PUSH, Action.PULL


@pytest.mark.parametrize(
    ("direction", "seen", "ours", "theirs", "at", "action", "is_conflict"),
    [
        # both alike
        ("newest", ("A", "A"), "B", "B", CRM_LATER, KEEP, False),
        # one side changed
        ("newest", ("A", "A"), "B", "A", CRM_LATER, PUSH, False),
        ("newest", ("A", "A"), "A", "B", RTX_LATER, PULL, False),
        ("push", ("A", "A"), "B", "A", CRM_LATER, PUSH, False),
        ("push", ("A", "A"), "A", "B", CRM_LATER, PUSH, False),  # put right
        ("pull", ("A", "A"), "B", "A", RTX_LATER, KEEP, False),
        ("pull", ("A", "A"), "A", "B", RTX_LATER, PULL, False),
        # both changed
        ("newest", ("A", "A"), "B", "C", RTX_LATER, PUSH, True),
        ("newest", ("A", "A"), "B", "C", CRM_LATER, PULL, True),
        ("newest", ("A", "A"), "B", "C", Instants(NOON, NOON), PUSH, True),
        ("newest", ("A", "A"), "B", "C", Instants(NOON, None), PUSH, True),
        ("push", ("A", "A"), "B", "C", CRM_LATER, PUSH, True),
        ("pull", ("A", "A"), "B", "C", RTX_LATER, PULL, True),
        # emptied
        ("newest", ("A", "A"), None, "A", CRM_LATER, PUSH, False),
        ("newest", ("A", "A"), "A", None, CRM_LATER, PULL, False),
        ("push", ("A", "A"), None, "A", CRM_LATER, PUSH, False),
        # seen for the first time
        ("newest", None, "A", None, CRM_LATER, PUSH, False),
        ("newest", None, None, "A", RTX_LATER, PULL, False),
        ("newest", None, "A", "B", CRM_LATER, PUSH, True),
        ("push", None, None, "A", CRM_LATER, KEEP, False),
        ("push", None, "A", "B", CRM_LATER, PUSH, True),
        ("pull", None, "A", None, CRM_LATER, KEEP, False),
        ("pull", None, "A", "B", RTX_LATER, PULL, True),
        # each writes it in its own way
        ("newest", ("DE", "Germany"), "DE", "Germany", CRM_LATER, KEEP, False),
    ],
)
def test_who_wins(direction, seen, ours, theirs, at, action, is_conflict) -> None:
    pair = Pair("first_name", "f", direction)
    decision = decide(pair, Seen(*seen) if seen else None, ours=ours, theirs=theirs, at=at)

    assert (decision.action, decision.is_conflict) == (action, is_conflict)


def test_a_crm_that_insists_is_told_once() -> None:
    pair = Pair("email", "email")
    seen = Seen("ann@x.com", "ann@x.com", True, overwritten="ANN@X.COM")

    assert decide(pair, seen, ours="ann@x.com", theirs="ANN@X.COM", at=CRM_LATER).action is KEEP
    assert decide(pair, seen, ours="bob@x.com", theirs="ANN@X.COM", at=CRM_LATER).action is PUSH


def test_what_stood_there_before_is_stale_only_when_it_is_old() -> None:
    pair, seen = Pair("first_name", "f", "newest"), Seen("B", "B", True, overwritten="A")
    old, new = Instants(NOON, NOON, told=LATER), Instants(NOON, LATER, told=NOON)

    assert decide(pair, seen, ours="B", theirs="A", at=old).action is KEEP
    assert decide(pair, seen, ours="B", theirs="A", at=new).action is PULL


def test_only_what_the_crm_was_not_told_is_sent() -> None:
    pairs = [Pair("a", "a"), Pair("b", "b"), Pair("c", "c"), Pair("d", "d", "pull"), Pair("e", "e")]
    base = {"a": {"o": "1", "t": "1"}, "b": {"o": "1", "t": "1"}, "c": {"t": "9"}}
    fields = {"a": "1", "b": "2", "c": "3", "d": "4", "e": None}

    assert merging.unsent(pairs, base, fields) == {"b": "2", "c": "3"}


def test_what_was_told_is_not_sent_again_and_other_fields_fall_out() -> None:
    pairs = [Pair("a", "a")]

    base = merging.told(pairs, {"a": {"o": "1", "t": "x"}, "gone": {"o": "1", "t": "1"}}, {"a": "2"})

    assert base == {"a": {"o": "2", "t": "2", "x": "x"}}
    assert merging.unsent(pairs, base, {"a": "2"}) == {}


@pytest.mark.parametrize(
    ("attempts", "least_s", "most_s"), [(1, 2.5, 5), (2, 5, 10), (4, 20, 40), (8, 320, 640), (30, 1800, 3600)]
)
def test_each_failure_waits_longer_with_jitter(attempts, least_s, most_s) -> None:
    assert merging.wait_after(attempts, share=0) == timedelta(seconds=least_s)
    assert merging.wait_after(attempts, share=1) == timedelta(seconds=most_s)


TEXTS = st.one_of(st.none(), st.sampled_from(["A", "B", "C"]))


@given(
    st.sampled_from(["push", "pull", "newest"]), st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), max_size=8)
)
def test_both_sides_come_to_rest_after_any_changes(direction, steps) -> None:
    """Play changes on both sides; after each, one exchange settles the field: a second one does nothing."""
    pair, seen, clock = Pair("phone", "phone", direction), None, NOON
    ours: str | None = None
    theirs: str | None = None
    for ours_next, theirs_next, is_ours_later in steps:
        ours, theirs, clock = ours_next, theirs_next, clock + timedelta(seconds=2)
        later = clock + timedelta(seconds=1)
        at = Instants(later, clock) if is_ours_later else Instants(clock, later)
        for turn in range(2):
            decision = decide(pair, seen, ours=ours, theirs=theirs, at=at)
            assert turn == 0 or decision.action is KEEP
            if decision.action is PUSH:
                seen, theirs = Seen(ours, ours, True, theirs), ours
            elif decision.action is PULL:
                ours, seen = theirs, Seen(theirs, theirs)
            else:
                overwritten = seen.overwritten if seen and seen.overwritten == theirs else None
                seen = Seen(ours, theirs, True, overwritten)
        if direction == "newest":
            assert ours == theirs
