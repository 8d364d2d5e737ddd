"""What imports cannot say about the code: kinds of files, sizes, purity of the domain, docstrings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for folder in ("apps", "rtx")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))
APPS = sorted(path.name for path in (ROOT / "apps").iterdir() if (path / "apps.py").exists())
DELIVERY = {"admin", "forms", "api", "consumers", "management", "urls"}
WRITES = {"receivers", "tasks", "services", "adapters", "guards"}
READS = {"selectors", "models", "events", "permissions", "domain"}
DJANGO = {"__init__", "apps", "checks", "migrations"}
KINDS = DELIVERY | WRITES | READS | DJANGO
LINES_MAX = 400
FUNCTION_LINES_MAX = 70
CLOCKS = re.compile(
    r"\b(?:datetime\.now|datetime\.utcnow|time\.time|time\.monotonic|timezone\.now|clock\.now(?:_ms)?\()"
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("app", APPS)
def test_an_app_has_only_the_known_kinds_of_file(app: str) -> None:
    found = {path.stem for path in (ROOT / "apps" / app).iterdir() if path.name != "__pycache__"}

    assert found - KINDS == set()


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=name)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_functions_stay_short(path: Path) -> None:
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions(path) if f.end_lineno}

    assert {found: lines for found, lines in long.items() if lines > FUNCTION_LINES_MAX} == {}


@pytest.mark.parametrize("path", [p for p in SOURCES if p.read_text().strip()], ids=name)
def test_modules_say_what_they_are(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", [p for p in SOURCES if "domain" in p.parts], ids=name)
def test_the_domain_knows_neither_float_nor_clock(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source)
    floats = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
    calls = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "float"]

    assert floats + calls == []
    assert CLOCKS.findall(source) == []


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if "selectors" in p.parts or p.stem == "models"], ids=name
)
def test_models_read_no_clock(path: Path) -> None:
    assert not re.search(r"default=.*\bnow\b", path.read_text())
