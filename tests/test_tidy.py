"""Keeps the house: imports go one way, modules stay small, everything is documented."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("events", "anomaly", "sinks", "consumer", "local", "console")
MAY_IMPORT = {
    "events": set(),
    "anomaly": {"events"},
    "sinks": {"events", "anomaly"},
    "consumer": {"events", "anomaly", "sinks"},
    "local": {"events", "anomaly", "sinks", "consumer"},
    "console": {"events", "anomaly", "sinks", "consumer"},
}
MODULE_LINES_MAX = 350
FUNCTION_LINES_MAX = 70
SAYS_NOTHING = re.compile(r"(^|/)(utils?|helpers?|common|misc)(\.py|/)")
PURE = ("events", "anomaly")
FORBIDDEN_IN_PURE = {"time", "socket", "random", "subprocess", "threading", "boto3", "opensearchpy"}


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout: nothing says which files belong to the repository")
    return listed.stdout.split("\n")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package: str) -> None:
    for path in modules(package):
        strays = imports(path) & set(PACKAGES) - MAY_IMPORT[package] - {package}
        assert not strays, f"{path.relative_to(ROOT)} imports {sorted(strays)}"


@pytest.mark.parametrize("path", modules(*PURE), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_pure_packages_do_no_io_and_read_no_clock(path: Path) -> None:
    strays = imports(path) & FORBIDDEN_IN_PURE
    assert not strays, f"{path.relative_to(ROOT)} imports {sorted(strays)}"


def test_modules_and_functions_stay_small() -> None:
    too_long = []
    for path in modules(*PACKAGES, "benchmarks"):
        text = path.read_text()
        lines = text.count("\n")
        if lines > MODULE_LINES_MAX:
            too_long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    too_long.append(f"{path.relative_to(ROOT)}:{node.name}: {length} lines")
    assert not too_long


def test_names_say_what_they_hold() -> None:
    assert [name for name in tracked() if SAYS_NOTHING.search(name)] == []


def test_a_waived_rule_has_its_reason_on_the_line() -> None:
    bare = re.compile(r"#\s*(noqa: [A-Z0-9, ]+|type: ignore\[[^\]]+\])\s*$")
    blanket = re.compile(r"#\s*(noqa|type: ignore)\s*$")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in modules(*PACKAGES, "benchmarks")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line) or blanket.search(line)
    ]
    assert found == []


def test_every_setting_is_documented() -> None:
    from consumer.settings import Settings

    text = (ROOT / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        row = re.search(rf"^\| `TILLWATCH_{name.upper()}` \|(.*)\|$", text, re.MULTILINE)
        assert row, f"docs/settings.md does not list TILLWATCH_{name.upper()}"
        assert field.description is not None
        assert field.description in row.group(1), f"docs/settings.md says something else of {name}"


def test_the_makefile_has_ten_targets_at_most_and_ci_calls_only_them() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE)
    assert len(targets) <= 10
    ci = (ROOT / ".ci" / "run").read_text()
    for called in re.findall(r"^make ([a-z ]+)", ci, re.MULTILINE):
        assert set(called.split()) <= set(targets)
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
