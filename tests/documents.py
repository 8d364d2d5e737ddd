"""Which pictures the documents show. Reads the documents alone: knows neither browser nor broker."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "img"
SHOWN = re.compile(r"!\[[^\]]*\]\((?!https?:)([^)\s]+)\)")


def shown_pictures() -> set[Path]:
    """Return the files of the pictures that the README and the documents show."""
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return {
        (document.parent / target).resolve()
        for document in documents
        for target in SHOWN.findall(document.read_text(encoding="utf-8"))
    }
