"""
The Merkle tree of RFC 6962, grown from its right edge. Knows hashes only: neither what is hashed nor where it
is kept.

A tree of any size is told by its peaks, the roots of the perfect trees that it is made of, largest first.
Leaves are appended to the peaks alone; what came before is never read again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one entry's bytes (RFC 6962, section 2.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two neighbors (RFC 6962, section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of `size` leaves."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ValueError(f"a tree of {self.size} leaves has no {len(self.peaks)} peaks")

    def extended(self, leaves: Iterable[bytes]) -> "Tree":
        """Return the tree with these leaf hashes at its end."""
        peaks, size = list(self.peaks), self.size
        for leaf in leaves:
            grown, level = leaf, size
            while level & 1:
                grown = sha256(b"\x01" + peaks.pop() + grown).digest()  # written out: a call costs as much
                level >>= 1
            peaks.append(grown)
            size += 1
        return Tree(size, tuple(peaks))

    def root(self) -> bytes:
        """Return the hash that stands for all leaves and their order."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root
