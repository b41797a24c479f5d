"""docs/bad-situations.md: a hundred of them, and every test that it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "bad-situations.md").read_text()
ROWS = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE, re.MULTILINE)
FILES = dict(re.findall(r"\*\*([A-Z])\*\*\s+`(tests/[a-z0-9_/]+\.py)`", PAGE))
SHOWN = re.compile(r"([A-Z]) `([^`]+)`")


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split(" | ")]


def test_a_hundred_are_listed_each_with_its_words_and_what_to_do() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, len(ROWS) + 1))
    assert len(ROWS) >= 100
    for number, row in ROWS:
        assert len(cells(row)) == 5, f"row {number} has other than five cells"
        assert all(cells(row)), f"row {number} has an empty cell"


def test_every_test_that_is_named_is_there() -> None:
    tested = 0
    for number, row in ROWS:
        shown = cells(row)[-1]
        named = SHOWN.findall(shown)
        assert named or shown == "-", f"row {number} names no test, and no dash"
        tested += bool(named)
        for letter, name in named:
            assert name in (ROOT / FILES[letter]).read_text(), f"row {number}: no {name}"
    assert tested >= 15
