"""
A small typesetter for printed tables: pages with a footer, headings, tables that repeat their header.

Draws rows as they come, so that a long table costs time and memory in proportion to its length. The font is
DejaVu Sans Condensed, embedded: Latin, Greek, Cyrillic, Armenian, Georgian. What it lacks (Chinese, Japanese,
Korean, Indic scripts) is shown as a replacement mark; Arabic and Hebrew are neither joined nor turned round.

One document is made at a time per process (`one_at_a_time`): it bounds the memory, and the typesetting
library was not made for threads. Whoever waits too long for it is told `busy`, so that documents never hold
all threads of a process.
"""

import io
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from rtx.kernel.errors import Unavailable

FONTS = Path(__file__).with_name("fonts")
REGULAR, BOLD = "RTX", "RTX-Bold"
WIDTH, HEIGHT = landscape(A4)
MARGIN = 36.0
LEFT, RIGHT = MARGIN, WIDTH - MARGIN
TOP, BOTTOM = HEIGHT - MARGIN, MARGIN + 16.0
INNER = RIGHT - LEFT
ROW = 12.0
SIZE = 7.5
PAD = 3.0
INK, MUTED, LINE, SHADE, ACCENT, LOSS = (
    HexColor(code) for code in ("#1b2430", "#66717f", "#d5dae1", "#f4f6f8", "#1f5fbf", "#b3261e")
)
COUNT = "count"
WIDEST = 0.95  # no ASCII character is wider, in parts of the font's size
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "…"
WAIT_MAX_S = 5.0
_one_at_a_time = threading.Lock()

rl_config.useA85 = 0  # compressed streams as they are: smaller and quicker than as text


class Busy(Unavailable):
    """Other documents are being made."""

    code = "busy"
    title = "Busy"


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """
    Wait for the turn to make a document.

    :raises Busy: it did not come in time.
    """
    if not _one_at_a_time.acquire(timeout=WAIT_MAX_S):
        raise Busy("Other documents are being written, try again in a moment.")
    try:
        yield
    finally:
        _one_at_a_time.release()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; `share` is its part of the page's width, before all are scaled to fit."""

    title: str
    share: float
    is_number: bool = False


@lru_cache(maxsize=1)
def _fonts() -> TTFont:
    """Register the fonts once and return the regular one."""
    regular = TTFont(REGULAR, FONTS / "DejaVuSansCondensed.ttf")
    pdfmetrics.registerFont(regular)
    pdfmetrics.registerFont(TTFont(BOLD, FONTS / "DejaVuSansCondensed-Bold.ttf"))
    return regular


def printable(text: str) -> str:
    """Return a text in which what the font cannot show is a replacement mark."""
    if text.isascii() and text.isprintable():
        return text
    known = _fonts().face.charToGlyph
    return "".join(char if ord(char) in known and char.isprintable() else REPLACEMENT for char in text)


def fitted(text: str, width: float, *, font: str = REGULAR, size: float = SIZE) -> str:
    """Return a printable text that is no wider than `width` points, cut with an ellipsis."""
    shown = printable(text)
    if shown.isascii() and len(shown) * size * WIDEST <= width:
        return shown
    if pdfmetrics.stringWidth(shown, font, size) <= width:
        return shown
    fits, over = 0, len(shown)
    while over - fits > 1:
        middle = (fits + over) // 2
        if pdfmetrics.stringWidth(shown[:middle] + ELLIPSIS, font, size) <= width:
            fits = middle
        else:
            over = middle
    return shown[:fits].rstrip() + ELLIPSIS


class Sheet:
    """A document that is written from top to bottom. `y` is how far down the present page it is."""

    def __init__(self, *, title: str, author: str, footer: str) -> None:
        _fonts()
        self._out = io.BytesIO()
        self.canvas = Canvas(self._out, pagesize=(WIDTH, HEIGHT), invariant=1)
        self.canvas.setTitle(title)
        self.canvas.setAuthor(author)
        self.canvas.setSubject(footer)
        self._footer = footer
        self._pages = 0
        self.y = TOP
        self._begin()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = SIZE,
        bold: bool = False,
        color: Color = INK,
        right: bool = False,
    ) -> None:
        """Write a text at a place; `right`: it ends there."""
        self.canvas.setFont(BOLD if bold else REGULAR, size)
        self.canvas.setFillColor(color)
        (self.canvas.drawRightString if right else self.canvas.drawString)(x, y, text)

    def rule(self, y: float, *, color: Color = LINE, width: float = 0.5) -> None:
        """Draw a line across the page."""
        self.canvas.setStrokeColor(color)
        self.canvas.setLineWidth(width)
        self.canvas.line(LEFT, y, RIGHT, y)

    def need(self, height: float) -> bool:
        """Begin a new page when there is less room than `height`; say whether it did."""
        if self.y - height >= BOTTOM:
            return False
        self._end()
        self._begin()
        return True

    def heading(self, title: str, *, below: float = 3 * ROW) -> None:
        """Write a section's title, on the page where at least `below` points of the section stand too."""
        self.need(26 + below)
        self.y -= 22
        self.text(LEFT, self.y, title, size=10.5, bold=True)
        self.y -= 6

    def table(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[str]],
        *,
        total: Sequence[str] | None = None,
    ) -> None:
        """Draw a table whose header is repeated on every page; `total` is a last row in bold."""
        unit = INNER / sum(column.share for column in columns)
        edges = [LEFT]
        for column in columns:
            edges.append(edges[-1] + column.share * unit)
        self._header(columns, edges)
        for number, row in enumerate(rows):
            if self.need(ROW):
                self._header(columns, edges)
            if number % 2:
                self.canvas.setFillColor(SHADE)
                self.canvas.rect(LEFT, self.y - ROW, INNER, ROW, stroke=0, fill=1)
            self._row(columns, edges, row)
        if total is not None:
            if self.need(ROW + 2):
                self._header(columns, edges)
            self.rule(self.y, color=MUTED)
            self._row(columns, edges, total, bold=True)
        self.rule(self.y)

    def note(self, text: str) -> None:
        """Write a line of small print."""
        self.need(ROW)
        self.y -= ROW
        self.text(LEFT, self.y + 2, fitted(text, INNER), color=MUTED)

    def finished(self) -> bytes:
        """Return the document."""
        self._end()
        self.canvas.beginForm(COUNT)
        self.text(0, 0, str(self._pages), size=7, color=MUTED)
        self.canvas.endForm()
        self.canvas.save()
        return self._out.getvalue()

    def _header(self, columns: Sequence[Column], edges: Sequence[float]) -> None:
        self.y -= ROW + 2
        for index, column in enumerate(columns):
            room = edges[index + 1] - edges[index] - 2 * PAD
            title = fitted(column.title, room, font=BOLD, size=7)
            x = edges[index + 1] - PAD if column.is_number else edges[index] + _inset(columns, index)
            self.text(x, self.y + 4, title, size=7, bold=True, color=MUTED, right=column.is_number)
        self.rule(self.y, color=MUTED)

    def _row(
        self, columns: Sequence[Column], edges: Sequence[float], row: Sequence[str], *, bold: bool = False
    ) -> None:
        self.y -= ROW
        font, line = BOLD if bold else REGULAR, self.canvas.beginText()
        line.setFont(font, SIZE)
        present: Color | None = None
        for index, (column, value) in enumerate(zip(columns, row, strict=True)):
            if not value:
                continue
            inset = _inset(columns, index)
            shown = fitted(value, edges[index + 1] - edges[index] - inset - PAD, font=font)
            color = LOSS if column.is_number and value[0] == "-" else INK
            if color is not present:
                line.setFillColor(color)
                present = color
            x = edges[index] + inset
            if column.is_number:
                x = edges[index + 1] - PAD - pdfmetrics.stringWidth(shown, font, SIZE)
            line.setTextOrigin(x, self.y + 3.5)
            line.textOut(shown)
        self.canvas.drawText(line)

    def _begin(self) -> None:
        self._pages += 1
        self.y = TOP

    def _end(self) -> None:
        self.rule(MARGIN + 8)
        self.text(LEFT, MARGIN - 2, self._footer, size=7, color=MUTED)
        self.text(RIGHT - 18, MARGIN - 2, f"Page {self._pages} of ", size=7, color=MUTED, right=True)
        self.canvas.saveState()
        self.canvas.translate(RIGHT - 17, MARGIN - 2)
        self.canvas.doForm(COUNT)
        self.canvas.restoreState()
        self.canvas.showPage()


def _inset(columns: Sequence[Column], index: int) -> float:
    """Return how far a column's text stands from its left edge: further behind a number."""
    return 4 * PAD if index and columns[index - 1].is_number and not columns[index].is_number else PAD
