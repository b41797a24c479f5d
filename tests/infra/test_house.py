"""infra/ keeps the house too: it imports settings and nothing else of ours; modules stay small."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MODULES = sorted((ROOT / "infra").glob("*.py"))
OURS = {"events", "anomaly", "sinks", "consumer", "local", "console", "properties", "benchmarks"}
SETTINGS = {"consumer.settings", "consumer.opensearch_settings"}
# A program that runs in the worker's image, beside the worker's own code.
IN_THE_IMAGE = {"search_rights": {"consumer.search_client"}}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    found |= {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    return {name for name in found if name}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_settings_are_all_that_is_imported(path: Path) -> None:
    strays = {name for name in imported(path) if name.split(".")[0] in OURS} - SETTINGS
    assert not strays - IN_THE_IMAGE.get(path.stem, set())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno:
            assert node.end_lineno - node.lineno < 70, node.name


@pytest.mark.parametrize("name", ["metrics_lines", "search_rights"])
def test_what_is_handed_to_a_container_needs_nothing_of_infra(name: str) -> None:
    path = ROOT / "infra" / f"{name}.py"
    assert not [module for module in imported(path) if module.split(".")[0] == "infra"]
    assert len(path.read_bytes()) < 16_000  # a task's definition has 64 KiB for everything


def test_nobody_imports_infra() -> None:
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            assert not {name for name in imported(path) if name.split(".")[0] == "infra"}, path
