"""Statements as files: JSON, CSV or PDF, with a name to save them under. Does not ask who may see them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import orjson
from django.http import HttpResponse

from apps.accounts.models import TradingAccount
from apps.trading.adapters import statement_csv, statement_json, statement_pdf
from apps.trading.domain.statements import Period
from apps.trading.selectors import statements


class Format(StrEnum):
    """How a statement may be written."""

    JSON = "json"
    CSV = "csv"
    PDF = "pdf"


TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
    Format.PDF: "application/pdf",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file that leaves the house."""

    name: str
    content_type: str
    body: bytes

    def answer(self) -> HttpResponse:
        """Return it as a download that nobody keeps on the way."""
        made = HttpResponse(self.body, content_type=self.content_type)
        made["Content-Disposition"] = f'attachment; filename="{self.name}"'
        made["Cache-Control"] = "no-store"
        return made


def statement_file(
    account: TradingAccount, *, period: Period, format: Format, now: datetime, shows_holder: bool
) -> File:
    """
    Return an account's statement of a period as a file.

    :raises PeriodInvalid: the period has not begun.
    :raises Divergence: the journal does not replay.
    :raises Difference: what would be shown is not what the books say.
    :raises Unavailable: too many PDF files are wanted at once.
    """
    told = statements.statement(account, period=period, now=now)
    heading = statements.heading(account, now=now, shows_holder=shows_holder)
    match format:
        case Format.JSON:
            body = orjson.dumps(statement_json.view(told, heading))
        case Format.CSV:
            body = statement_csv.rendered(told, heading)
        case Format.PDF:
            body = statement_pdf.rendered(told, heading)
    name = f"statement-{account.login}-{_stamp(period.start)}-{_stamp(period.end, is_end=True)}.{format}"
    return File(name, TYPES[format], body)


def _stamp(at: datetime, *, is_end: bool = False) -> str:
    """Return an instant for a file's name; a midnight at the end names the day that ended with it."""
    if at.time() == datetime.min.time():
        return f"{at - timedelta(days=is_end):%Y%m%d}"
    return f"{at:%Y%m%dT%H%M%SZ}"
