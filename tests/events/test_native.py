"""Which twins there are, and which word leaves them aside."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from events.native import SWITCH, TWINS, in_words, native, not_compiled

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
