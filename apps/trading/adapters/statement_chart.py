"""
The equity curve of a printed statement. Draws only: amounts become coordinates here, and nothing else.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from math import floor, log10

from apps.trading.adapters.sheet import ACCENT, INNER, LEFT, LINE, MUTED, RIGHT, Sheet
from apps.trading.domain.statements import CurvePoint

HEIGHT = 128.0
AXIS = 64.0  # room for the labels at the left
STEPS = (1, 2, 2.5, 5, 10)
LABELS = 8

Place = Callable[[float], float]


def draw(sheet: Sheet, curve: Sequence[CurvePoint]) -> None:
    """Draw balance as steps and equity as a line with gaps where it is not known."""
    top, bottom = sheet.y - 14, sheet.y - HEIGHT + 14
    amounts = [
        float(amount) for point in curve for amount in (point.balance, point.equity) if amount is not None
    ]
    ticks = _ticks(min(amounts), max(amounts))
    low, high = ticks[0], ticks[-1]
    begin, end = curve[0].at, curve[-1].at
    seconds = max((end - begin).total_seconds(), 1.0)

    def across(at: datetime) -> float:
        return LEFT + AXIS + (at - begin).total_seconds() / seconds * (INNER - AXIS)

    def up(amount: float) -> float:
        return bottom + (amount - low) / (high - low) * (top - bottom)

    _grid(sheet, ticks, up)
    _times(sheet, begin, end, bottom)
    canvas = sheet.canvas
    canvas.setLineWidth(0.9)
    canvas.setStrokeColor(MUTED)
    path = canvas.beginPath()
    path.moveTo(across(begin), up(float(curve[0].balance)))
    for before, point in pairwise(curve):
        path.lineTo(across(point.at), up(float(before.balance)))
        path.lineTo(across(point.at), up(float(point.balance)))
    canvas.drawPath(path)
    canvas.setLineWidth(1.3)
    canvas.setStrokeColor(ACCENT)
    for before, point in pairwise(curve):
        if before.equity is not None and point.equity is not None:
            canvas.line(
                across(before.at), up(float(before.equity)), across(point.at), up(float(point.equity))
            )
    sheet.text(RIGHT, top + 5, "balance", size=7, color=MUTED, right=True)
    sheet.text(RIGHT - 40, top + 5, "equity", size=7, bold=True, color=ACCENT, right=True)
    sheet.y -= HEIGHT


def _ticks(low: float, high: float) -> list[float]:
    """Return round amounts, about four apart, that enclose what is drawn."""
    spread = max(high - low, abs(high) * 0.002, 1.0)
    rough = spread / 4
    scale = 10 ** floor(log10(rough))
    step = next(factor * scale for factor in STEPS if factor * scale >= rough)
    first = floor(low / step)
    last = -floor(-high / step)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def _grid(sheet: Sheet, ticks: Sequence[float], up: Place) -> None:
    for tick in ticks:
        y = up(tick)
        sheet.canvas.setStrokeColor(LINE)
        sheet.canvas.setLineWidth(0.4)
        sheet.canvas.line(LEFT + AXIS, y, RIGHT, y)
        decimals = 0 if ticks[1] - ticks[0] >= 1 else 2
        sheet.text(LEFT + AXIS - 6, y - 2.5, f"{tick:,.{decimals}f}", size=7, color=MUTED, right=True)


def _times(sheet: Sheet, begin: datetime, end: datetime, bottom: float) -> None:
    span = end - begin
    form = "%Y-%m-%d" if span.days > 7 else "%m-%d %H:%M"
    for index in range(LABELS + 1):
        x = LEFT + AXIS + index / LABELS * (INNER - AXIS)
        shown = (begin + span * index / LABELS).strftime(form)
        if index == LABELS:
            sheet.text(x, bottom - 10, shown, size=7, color=MUTED, right=True)
        elif index == 0:
            sheet.text(x, bottom - 10, shown, size=7, color=MUTED)
        else:
            sheet.canvas.setFont("RTX", 7)
            sheet.canvas.setFillColor(MUTED)
            sheet.canvas.drawCentredString(x, bottom - 10, shown)
