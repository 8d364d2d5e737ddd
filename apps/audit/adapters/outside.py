"""
Checkpoints in files, outside the database: `FOLDER/LOG/NNNN/LOG-NNNNNNNNNN.checkpoint`. A file is written in
one step and never written again.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from apps.audit.domain.checkpoints import Body, Malformed, Sealed, body_of, from_file, to_file

SUFFIX = ".checkpoint"
PER_FOLDER = 10_000
HEAD_BYTES = 4096  # more than a signed text has

_known: dict[tuple[Path, str], int] = {}  # the newest of each log that this process has seen


class AlreadyDifferent(Exception):
    """The outside storage holds another checkpoint under this name: one of the two is forged."""


def path_of(folder: Path, log: str, number: int) -> Path:
    """Return where a checkpoint belongs."""
    return folder / log / f"{number // PER_FOLDER:04d}" / f"{log}-{number:010d}{SUFFIX}"


def write(folder: Path, sealed: Sealed) -> bool:
    """
    Write a checkpoint's file unless it is there; tell whether it was written.

    :raises AlreadyDifferent: a file of this name holds something else.
    :raises OSError: the storage is away or full.
    """
    path, content = path_of(folder, sealed.body.log, sealed.body.number), to_file(sealed)
    if path.exists():
        if path.read_bytes() != content:
            raise AlreadyDifferent(f"{path} holds another checkpoint")
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(0o644)
        Path(draft).rename(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return True


def newest(folder: Path, log: str) -> int:
    """
    Return the highest number of a log that is there; 0: none.

    Goes on from the one that was newest at the last call: folders are listed once, and when it is gone.
    """
    known = _known.get((folder, log), 0)
    number = known if known and path_of(folder, log, known).exists() else _listed(folder, log)
    while path_of(folder, log, number + 1).exists():
        number += 1
    _known[folder, log] = number
    return number


def head(folder: Path, log: str) -> Body | None:
    """
    Return what the newest checkpoint of a log says; None: there is none.

    :raises Malformed: the file is no checkpoint.
    """
    number = newest(folder, log)
    if not number:
        return None
    path = path_of(folder, log, number)
    with path.open("rb") as file:
        return body_of(file.read(HEAD_BYTES).partition(b"\n\n")[0], source=path.name)


def _listed(folder: Path, log: str) -> int:
    for part in sorted((path for path in (folder / log).glob("[0-9]*") if path.is_dir()), reverse=True):
        numbers = [_number(path) for path in part.glob(f"{log}-*{SUFFIX}")]
        if numbers:
            return max(numbers)
    return 0


def _number(path: Path) -> int:
    return int(path.name.removesuffix(SUFFIX).rpartition("-")[2])


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Files to verify against: read one by one, when their turn comes."""

    paths: dict[str, dict[int, Path]] = field(default_factory=dict)

    @classmethod
    def found(cls, given: Path) -> "Witnesses":
        """
        Find the checkpoints in a file or below a folder.

        :raises Malformed: the one file is no checkpoint.
        :raises FileNotFoundError: there is no such file or folder.
        """
        paths: dict[str, dict[int, Path]] = {}
        if given.is_file():
            body = from_file(given.read_bytes(), source=given.name).body
            return cls({body.log: {body.number: given}})
        if not given.is_dir():
            raise FileNotFoundError(f"{given} is not there")
        for path in given.rglob(f"*{SUFFIX}"):
            log, _, number = path.name.removesuffix(SUFFIX).rpartition("-")
            if number.isdigit():
                paths.setdefault(log, {})[int(number)] = path
        return cls(paths)

    def numbers(self, log: str) -> list[int]:
        """Return the numbers of a log's files, ascending."""
        return sorted(self.paths.get(log, {}))

    def read(self, log: str, number: int) -> Sealed | None:
        """
        Return a checkpoint; None: there is no file of it.

        :raises Malformed: the file is no checkpoint, or another one than its name says.
        """
        path = self.paths.get(log, {}).get(number)
        if path is None:
            return None
        sealed = from_file(path.read_bytes(), source=path.name)
        if (sealed.body.log, sealed.body.number) != (log, number):
            raise Malformed(f"{path.name} holds checkpoint {sealed.body.number} of {sealed.body.log}")
        return sealed
