"""The tree against the vectors of Certificate Transparency, and against the RFC's own definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.domain.merkle import EMPTY_ROOT, Tree, leaf_hash, node_hash

INPUTS = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(by_definition(leaves[:split]), by_definition(leaves[split:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    assert Tree().extended(LEAVES[:size]).root().hex() == ROOTS[size - 1]


def test_no_leaves_have_the_root_of_nothing() -> None:
    assert Tree().root() == EMPTY_ROOT == by_definition([])


@given(sizes=st.lists(st.integers(0, 40), max_size=6))
def test_a_tree_grown_in_batches_is_the_one_of_the_definition(sizes: list[int]) -> None:
    leaves = [leaf_hash(str(number).encode()) for number in range(sum(sizes))]
    tree, start = Tree(), 0

    for size in sizes:
        tree, start = tree.extended(leaves[start : start + size]), start + size

    assert (tree.size, tree.root()) == (len(leaves), by_definition(leaves))


def test_peaks_that_no_tree_of_this_size_has_are_refused() -> None:
    with pytest.raises(ValueError, match="a tree of 3 leaves has no 1 peaks"):
        Tree(3, (bytes(32),))
