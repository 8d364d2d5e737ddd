"""`manage.py import_ticks PATH...`: loads recordings into tick history and candles, with a progress bar."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from apps.market.adapters.recordings import Recording, RecordingError, identify
from apps.market.domain.quotes import Refusal
from apps.market.models import Symbol
from apps.market.services.history import Imported, import_recording


class Command(BaseCommand):
    """Import recordings; a file is taken whole or not at all, and a second run adds nothing."""

    help = "Load recorded prices (files or folders, every layout that the replay feed knows) into history."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take paths and what overrides the files' names."""
        parser.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="a recording or a folder of them"
        )
        parser.add_argument(
            "--symbol", help="the symbol's name in RTX, instead of the one in the file's name"
        )
        parser.add_argument("--provider", help="the ticks' source, instead of the folder's name")
        parser.add_argument("--no-candles", action="store_true", help="store ticks only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import every recording; problems of single files are named at the end and make the command fail."""
        symbols = {symbol.name: symbol for symbol in Symbol.objects.all()}
        problems: list[str] = []
        work = list(self._recordings(options["paths"], problems))
        totals, refused = Imported(), Counter[Refusal]()
        with tqdm(
            total=sum(_lines(one) for one in work), unit=" lines", file=sys.stderr, mininterval=0.5
        ) as bar:
            for recording in work:
                bar.set_description(recording.path.name)
                name = options["symbol"] or recording.symbol
                if name not in symbols:
                    problems.append(
                        f"{recording.path}: no symbol is named {name!r}; create it or use --symbol"
                    )
                    continue
                try:
                    done = import_recording(
                        recording,
                        symbol=symbols[name],
                        source=options["provider"] or recording.provider,
                        builds_candles=not options["no_candles"],
                        progress=bar.update,
                    )
                except RecordingError as error:
                    problems.append(str(error))
                    continue
                bar.update(done.refused.total())
                bar.clear()
                self.stdout.write(_line(f"{name:10} {recording.path.name}", done))
                totals.read += done.read
                totals.added += done.added
                totals.known += done.known
                totals.candles += done.candles
                refused += done.refused
        totals.refused = refused
        self.stdout.write(_line("total", totals))
        if problems:
            raise CommandError("\n".join(problems))

    def _recordings(self, paths: list[Path], problems: list[str]) -> Iterator[Recording]:
        for path in paths:
            if not path.exists():
                problems.append(f"{path}: no such file or folder")
                continue
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if not file.is_file():
                    continue
                try:
                    recording = identify(file)
                except RecordingError as error:
                    problems.append(str(error))
                    continue
                if recording is not None:
                    yield recording
                elif not path.is_dir():
                    problems.append(f"{file}: not a recording of quotes in a known layout")


def _lines(recording: Recording) -> int:
    try:
        return recording.count_lines()
    except RecordingError:
        return 0  # it is named when it is imported


def _line(title: str, done: Imported) -> str:
    refusals = ", ".join(f"{reason} {count}" for reason, count in sorted(done.refused.items())) or "none"
    return (
        f"{title}: {done.read} read, {done.added} added, {done.known} already there, "
        f"{done.refused.total()} refused ({refusals}), {done.candles} candles written"
    )
