"""
Sheets of rows as CSV and XLSX: reading what staff upload, writing what they download. Knows texts and rows,
no table and no right.

What is written is safe to open: a text that a spreadsheet would take for a formula gets an apostrophe before
it, and reading takes that apostrophe off again. What is read is bounded: bytes, unpacked bytes, rows,
columns. XLSX is read and written here in its plain form (texts of one sheet), so that no file ever lies
unpacked on disk.
"""

import csv
import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from rtx.kernel.errors import Invalid

FILE_BYTES_MAX = 16 * 1024 * 1024
UNPACKED_BYTES_MAX = 128 * 1024 * 1024
ROWS_MAX = 100_000
COLUMNS_MAX = 64
FORMULA = ("=", "+", "-", "@", "\t", "\r")
CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES = {"csv": CSV_TYPE, "xlsx": XLSX_TYPE}
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
# What zipfile and what it unpacks with say of a damaged, encrypted or unknown archive.
UNPACKING_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
)
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_CELL = re.compile(r"([A-Z]{1,3})[0-9]+")

_PARTS = {
    "[Content_Types].xml": (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-'
        'officedocument.spreadsheetml.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
        'officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
        'worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}


class SheetInvalid(Invalid):
    """The file is no sheet that can be read."""

    code = "sheet_invalid"
    title = "File not readable"


def safe(value: object) -> str:
    """Return a cell's text so that no spreadsheet takes it for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def plain(text: str) -> str:
    """Return what a cell says: without blanks around it and without the apostrophe of `safe`."""
    found = text.strip()
    return found[1:] if found.startswith("'") and found[1:].startswith(FORMULA) else found


def written(header: Sequence[str], rows: Iterable[Sequence[object]], *, form: str) -> bytes:
    """Return a sheet with a header as CSV (with a byte order mark, for spreadsheets) or XLSX."""
    lines = ([safe(value) for value in row] for row in [header, *rows])
    return _as_xlsx(lines) if form == "xlsx" else _as_csv(lines)


def _as_csv(lines: Iterable[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _as_xlsx(lines: Iterable[list[str]]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in _PARTS.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{text}')
        with archive.open("xl/worksheets/sheet1.xml", "w") as sheet:
            sheet.write(
                f'<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="{MAIN[1:-1]}"><sheetData>'.encode()
            )
            for line in lines:
                cells = "".join(
                    '<c t="inlineStr"><is><t xml:space="preserve">'
                    f"{escape(_UNWRITABLE.sub('', text))}</t></is></c>"
                    for text in line
                )
                sheet.write(f"<row>{cells}</row>".encode())
            sheet.write(b"</sheetData></worksheet>")
    return packed.getvalue()


def read(content: bytes) -> tuple[list[str], list[list[str]]]:
    """
    Return header and rows of a CSV or XLSX file, told by its first bytes; empty rows are left out.

    :raises SheetInvalid: neither of both, too large, or without rows.
    """
    if len(content) > FILE_BYTES_MAX:
        raise SheetInvalid(f"A file has at most {FILE_BYTES_MAX // 1024**2} MB.", code="sheet_too_large")
    lines = _xlsx_lines(content) if content.startswith(b"PK\x03\x04") else _csv_lines(content)
    found: list[list[str]] = []
    for line in lines:
        if len(found) > ROWS_MAX or len(line) > COLUMNS_MAX:
            raise SheetInvalid(
                f"At most {ROWS_MAX} rows of {COLUMNS_MAX} columns are taken.", code="sheet_too_large"
            )
        cells = [plain(text) for text in line]
        if any(cells):
            found.append(cells)
    if len(found) < 2:
        raise SheetInvalid("The file has no rows below its header.")
    return found[0], found[1:]


def _csv_lines(content: bytes) -> Iterator[list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SheetInvalid("A CSV file must be UTF-8.") from None
    if "\0" in text:
        raise SheetInvalid("The file is neither CSV nor XLSX.")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise SheetInvalid(f"The CSV file is malformed: {error}.") from None


def _xlsx_lines(content: bytes) -> Iterator[list[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > UNPACKED_BYTES_MAX:
                raise SheetInvalid("The file unpacks to too much.", code="sheet_too_large")
            names = set(archive.namelist())
            sheet = next(
                (n for n in sorted(names) if n.startswith("xl/worksheets/") and n.endswith(".xml")), None
            )
            if sheet is None:
                raise SheetInvalid("The file holds no sheet.")
            shared = _shared(archive) if "xl/sharedStrings.xml" in names else []
            yield from _rows(archive, sheet, shared)
    except SheetInvalid:
        raise
    except (*UNPACKING_ERRORS, ElementTree.ParseError, LookupError, ValueError):
        raise SheetInvalid("The XLSX file cannot be read.") from None


def _shared(archive: zipfile.ZipFile) -> list[str]:
    with _part(archive, "xl/sharedStrings.xml") as part:
        root = ElementTree.parse(part).getroot()  # noqa: S314 - no DTD, see _part
    return ["".join(text.text or "" for text in item.iter(f"{MAIN}t")) for item in root.iter(f"{MAIN}si")]


def _rows(archive: zipfile.ZipFile, name: str, shared: list[str]) -> Iterator[list[str]]:
    with _part(archive, name) as part:
        for _, element in ElementTree.iterparse(part):  # noqa: S314 - no DTD, see _part
            if element.tag != f"{MAIN}row":
                continue
            line: list[str] = []
            for cell in element.iter(f"{MAIN}c"):
                place = _CELL.fullmatch(cell.get("r") or "")
                column = _number(place[1]) if place else len(line)
                if column >= COLUMNS_MAX:
                    raise SheetInvalid(f"At most {COLUMNS_MAX} columns are taken.", code="sheet_too_large")
                line += [""] * (column - len(line) + 1)
                line[column] = _text(cell, shared)
            element.clear()
            yield line


def _part(archive: zipfile.ZipFile, name: str) -> io.BytesIO:
    """Return a part's bytes; one that declares entities, which could grow without end, is refused."""
    content = archive.read(name)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise SheetInvalid("The XLSX file declares a document type.")
    return io.BytesIO(content)


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _text(cell: ElementTree.Element, shared: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return "".join(text.text or "" for text in cell.iter(f"{MAIN}t"))
    value = cell.findtext(f"{MAIN}v") or ""
    if cell.get("t") == "s":
        return shared[int(value)]
    whole, point, rest = value.partition(".")
    return whole if point and not rest.strip("0") else value  # a spreadsheet writes 100 as 100.0
