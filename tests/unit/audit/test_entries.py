"""What is kept of an entry, and where two batches begin to differ."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.domain import entries
from apps.audit.domain.differences import Difference, differences
from apps.audit.domain.merkle import leaf_hash

LINE = b'1000\t17\t1700000000000001\t5\t3\torder_filled\t{"a": "\\\\n"}\t\\N'


def test_a_record_is_made_of_the_canonical_bytes_alone() -> None:
    (entry,) = entries.unpacked(entries.record_of(LINE))

    assert (entry.place, entry.at_us, entry.subject, entry.seq) == ((1000, 17), 1_700_000_000_000_001, 5, 3)
    assert entry.at.isoformat() == "2023-11-14T22:13:20.000001+00:00"
    assert entry.leaf == leaf_hash(LINE)
    assert entry.content == sha256(b'order_filled\t{"a": "\\\\n"}\t\\N').digest()[:8]
    assert len(entries.record_of(LINE)) == entries.RECORD_BYTES == 80


def batch(numbers: list[int]) -> bytes:
    return b"".join(entries.record_of(b"1\t%d\t0\t0\t0\tx" % number) for number in numbers)


@given(
    before=st.lists(st.integers(0, 9), max_size=12),
    after=st.lists(st.integers(0, 9), max_size=12),
)
def test_the_first_difference_is_the_first(before: list[int], after: list[int]) -> None:
    pairs = [index for index, (one, other) in enumerate(zip(before, after, strict=False)) if one != other]
    expected = None if before == after else min([*pairs, min(len(before), len(after))])

    assert entries.first_difference(batch(before), batch(after)) == expected


def test_an_entry_beyond_the_batch_is_none() -> None:
    assert entries.at(batch([1, 2]), 2) is None
    assert entries.at(batch([1, 2]), -1) is None


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({}, {"a": 1}, [Difference("a", "", "1")]),
        ({"a": None}, {"a": True}, [Difference("a", "–", "yes")]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [Difference("a.b", "1", "2")]),
        ({"a": [1, 2]}, {"a": []}, [Difference("a", "1, 2", "")]),
        ({}, {"a": [{"b": 1}]}, [Difference("a 1.b", "", "1")]),
        ({}, [{"b": 1}], [Difference("1.b", "", "1")]),
    ],
)
def test_states_are_compared_value_by_value(before: object, after: object, found: list[Difference]) -> None:
    assert differences(before, after) == found
