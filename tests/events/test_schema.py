"""The documents that speak of the wire format say what the code does."""

import json
import re
import runpy
from pathlib import Path

import msgspec
import pytest

from events import schema
from events.decode import NESTING_MAX
from events.money import EXPONENTS
from events.parse_reason import ParseReason
from events.unknown import UNKNOWN_BYTES_MAX
from events.wire import LINES_MAX, REQUIRED, SCHEMA_VERSION, WireTransaction
from tests.events.example import FULL

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = (DOCS / "wire-schema.json").read_text(encoding="utf-8")
    assert committed == schema.wire_schema(), "run python -m events.schema"


def test_the_command_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    runpy.run_path(schema.__file__, run_name="__main__")
    assert (tmp_path / schema.PATH).read_text(encoding="utf-8") == schema.wire_schema()


def test_the_schema_names_every_field_and_what_is_required() -> None:
    definitions = json.loads(schema.wire_schema())["$defs"]
    transaction = definitions["WireTransaction"]
    assert set(transaction["properties"]) == set(FULL)
    assert tuple(transaction["required"]) == REQUIRED
    assert set(definitions["WireLine"]["properties"]) == set(FULL["lines"][0])
    assert set(definitions["WirePayment"]["properties"]) == set(FULL["payment"])
    assert set(definitions["WireContact"]["properties"]) == set(FULL["contact"])
    assert transaction["properties"]["currency"]["enum"] == sorted(EXPONENTS)
    assert transaction["properties"]["total"]["type"] == ["string", "number"]
    assert "additionalProperties" not in transaction


def test_the_strict_types_know_the_same_fields() -> None:
    from events.wire import StrictTransaction

    strict = {field.name for field in msgspec.structs.fields(StrictTransaction)}
    assert strict == {field.name for field in msgspec.structs.fields(WireTransaction)}


def test_every_reason_is_documented_with_its_meaning() -> None:
    text = (DOCS / "rejections.md").read_text(encoding="utf-8")
    section = text.partition("## Stage `parse`")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, re.MULTILINE)
    assert [(word, meaning) for word, meaning, _ in rows] == [
        (reason.value, reason.meaning) for reason in ParseReason
    ]


def test_meanings_state_the_limits_that_hold() -> None:
    assert f" {NESTING_MAX} deep" in ParseReason.TOO_DEEP.meaning
    assert f" {LINES_MAX:,} lines" in ParseReason.TOO_MANY_LINES.meaning
    assert f" {UNKNOWN_BYTES_MAX // 1024} KiB" in ParseReason.UNKNOWN_FIELDS_TOO_LARGE.meaning
    assert f"version is not {SCHEMA_VERSION}" in ParseReason.SCHEMA_UNSUPPORTED.meaning
