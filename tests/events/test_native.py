"""Which twins there are, and which word leaves them aside."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from events import money, parse
from events.native import SWITCH, TWINS, in_words, native, not_compiled
from sinks import opensearch, rows

ROOT = Path(__file__).parent.parent.parent


def test_every_twin_has_its_source_its_types_and_its_place_in_the_list() -> None:
    sources = {
        f"{path.parent.name}.{path.stem}"
        for package in ("events", "anomaly", "sinks", "consumer")
        for path in (ROOT / package).glob("_*.c")
    }
    assert sources == set(TWINS)
    for name in TWINS:
        assert (ROOT / f"{name.replace('.', '/')}.pyi").is_file()


@pytest.mark.parametrize(
    ("source", "name", "value"),
    [
        ("events/_parse.c", "AMOUNT_MAX", money.AMOUNT_MAX),
        ("events/_parse.c", "QUANTITY_DECIMALS", money.QUANTITY_DECIMALS),
        ("events/_parse.c", "UNIT_PRICE_DECIMALS", money.UNIT_PRICE_DECIMALS),
        ("events/_parse.c", "DECIMALS_MAX", max(money.EXPONENTS.values())),
        ("events/_parse.c", "OWN_ID_MAX", parse._OWN_ID_MAX),
        ("sinks/_bodies.c", "QUANTITY_DECIMALS", money.QUANTITY_DECIMALS),
        ("sinks/_bodies.c", "UNIT_PRICE_DECIMALS", money.UNIT_PRICE_DECIMALS),
        ("sinks/_bodies.c", "ID_BYTES_MAX", opensearch.ID_BYTES_MAX),
        ("sinks/_columns.c", "MANTISSA_MAX", rows._MANTISSA_MAX),
    ],
)
def test_what_a_twin_has_of_its_python_is_the_same_number(
    source: str, name: str, value: int
) -> None:
    text = (ROOT / source).read_text()
    (found,) = re.findall(rf"^#define {name} (\d+)L*\b", text, re.MULTILINE)
    assert int(found) == value


def test_where_there_is_a_compiler_every_twin_was_compiled() -> None:
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not shutil.which("cc") or not header.is_file():
        pytest.skip("no C compiler here, or Python without its headers: Python does it all")
    assert not_compiled() == ()


def test_the_switch_leaves_the_twins_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    for off in ("off", "OFF ", "0", "false", "no"):
        monkeypatch.setenv(SWITCH, off)
        assert native("sinks._bodies") is None
        assert in_words() == "Python alone (TILLWATCH_NATIVE is off)"
    monkeypatch.setenv(SWITCH, "on")
    assert (native("sinks._bodies") is None) == ("sinks._bodies" in not_compiled())


def test_what_was_not_compiled_is_none_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    assert native("sinks._no_such_twin") is None
    monkeypatch.setattr("events.native.TWINS", ("sinks._no_such_twin",))
    assert in_words() == "without sinks._no_such_twin"
    monkeypatch.setattr("events.native.TWINS", ("sinks.bulk",))
    assert in_words() == "compiled"


def test_without_twins_the_whole_program_is_there() -> None:
    script = (
        "import consumer.pipeline, sinks.rows, sinks.opensearch, events.parse, sys;"
        "print([n for n in sys.modules if n.split('.')[-1] in "
        "('_parse', '_bodies', '_columns', '_sales', '_forest') and n.split('.')[0] in "
        "('events', 'anomaly', 'sinks', 'consumer')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={SWITCH: "off", "PATH": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == "[]"
