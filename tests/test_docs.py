"""The documents say what the code says: bounds, tests, files and log lines that they name."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.settings import Settings

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()

# What a detector weighs is no bound of a resource; what a shop remembers is.
BOUNDED = (
    "events/*.py",
    "sinks/*.py",
    "sinks/dashboards/*.py",
    "consumer/*.py",
    "anomaly/at_rest.py",
    "anomaly/state.py",
    "anomaly/sale_state.py",
    "anomaly/suppression.py",
)
NO_BOUNDS = {
    "_CREATED_MAX": "an HTTP status",
    "_MANTISSA_MAX": "the column's own",
}


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def names_of(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple):
        for part in target.elts:
            yield from names_of(part)


def bounds() -> Iterator[tuple[str, str, list[float]]]:
    """Every constant of a module that is called a maximum: its name, its file, its value."""
    for path in sorted(path for pattern in BOUNDED for path in ROOT.glob(pattern)):
        where = path.relative_to(ROOT).as_posix()
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            for name in (name for target in targets for name in names_of(target)):
                if name.endswith("_MAX") and name not in NO_BOUNDS:
                    module = where.removesuffix(".py").replace("/", ".")
                    value = getattr(importlib.import_module(module), name)
                    yield name, where, [*value] if isinstance(value, tuple) else [value]
    for name, field in Settings.model_fields.items():
        if name.endswith("_max"):
            yield name, "consumer/settings.py", [field.default]


def test_every_bound_stands_in_the_table_with_its_value() -> None:
    table = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| `([\w/.]+)` \| [^|]+ \|$", ARCHITECTURE, re.MULTILINE
    )
    written = {(name, where): numbers(value) for name, value, where in table}
    coded = {(name, where): value for name, where, value in bounds()}
    assert written == coded


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("name", ["architecture", "operations"])
def test_files_and_tests_that_are_named_are_there(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text()
    packages = "events|anomaly|sinks|consumer|properties|local|console|tests|docs"
    for file in re.findall(rf"`((?:{packages})/[\w/.-]*\.\w+)`", text):
        assert (ROOT / file).exists(), file
    tests = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
    for file in re.findall(r"`(test_\w+\.py)`", text):
        assert file in tests, file
    sources = "".join(path.read_text() for path in tests.values())
    for test in re.findall(r"`(test_\w+)`", text):
        assert f"def {test}(" in sources, test


def test_settings_that_are_named_are_settings() -> None:
    known = {f"TILLWATCH_{name.upper()}" for name in Settings.model_fields}
    # Read before there are settings, by the tests alone, given by the supervisor, or at import.
    known |= {
        "TILLWATCH_CONFIG",
        "TILLWATCH_ONLINE_RETAIL",
        "TILLWATCH_LOG_SOCKET",
        "TILLWATCH_NATIVE",
    }
    for path in DOCS:
        named = set(re.findall(r"TILLWATCH_[A-Z_]+[A-Z]", path.read_text()))
        assert named <= known, f"{path.name} names {sorted(named - known)}"


def test_log_lines_that_operations_explains_are_in_the_code() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| (?:INFO|WARNING|ERROR|CRITICAL) ", text, re.MULTILINE)
    assert len(rows) > 8
    source = "".join(
        # Messages are broken over lines where they are long.
        re.sub(r'"\s*\n\s*f?"', "", path.read_text())
        for package in ("consumer", "sinks")
        for path in (ROOT / package).glob("*.py")
    )
    patterns = [re.sub(r"%[.\d]*[sdf]", "…", found) for found in re.findall(r'"([^"\n]+)"', source)]
    for row in rows:
        assert any(row.rstrip(" …") in pattern for pattern in patterns), row
