"""Log lines: JSON whatever is logged, bounded, and never in the way."""

import json
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.logs import (
    LINE_BYTES_MAX,
    SOCKET_VARIABLE,
    DatagramHandler,
    JsonFormatter,
    configure,
)


def record(
    message: object = "a message", level: int = logging.INFO, **extra: object
) -> logging.LogRecord:
    made = logging.LogRecord("tillwatch.test", level, __file__, 1, message, None, None)
    made.__dict__.update(extra)
    return made


def line(made: logging.LogRecord, **context: Any) -> dict[str, Any]:
    text = JsonFormatter(**context).format(made)
    encoded = text.encode(errors="backslashreplace")
    assert len(encoded) <= LINE_BYTES_MAX
    assert b"\n" not in encoded
    # As strict as others' parsers: no NaN.
    found: dict[str, Any] = json.loads(encoded, parse_constant=pytest.fail)
    return found


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers[:], logger.level = handlers, level


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        path = str(tmp_path / "log")
        bound.bind(path)
        bound.settimeout(30)
        yield bound, path


def test_a_line_has_its_true_level_its_shard_and_its_position() -> None:
    found = line(
        record("committed", logging.WARNING, records=7), shard_id="shardId-0", position="12-0"
    )
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "WARNING",
        "logger": "tillwatch.test",
        "message": "committed",
        "shard_id": "shardId-0",
        "position": "12-0",
        "records": 7,
    }


def test_an_exception_is_one_field_of_the_one_line() -> None:
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        made = record("ending", logging.CRITICAL)
        made.exc_info = sys.exc_info()
    found = line(made)
    assert found["exception"].startswith("Traceback")
    assert found["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "€" * 100_000, '"\\\n\x00' * 50_000, "\ud800" * 9_000]
)
def test_a_line_that_is_too_long_is_cut_and_stays_json(text: str) -> None:
    made = record(text, logging.ERROR, sink="s3", body=[text])
    made.exc_info = (ValueError, ValueError(text), None)
    found = line(made, shard_id="shardId-0", position="12-0")
    assert (found["level"], found["shard_id"], found["position"]) == ("ERROR", "shardId-0", "12-0")
    assert found["message"][:64].startswith(text[:50])
    assert found["message"].endswith("…")
    assert found["sink"] == "s3"


def test_a_line_that_just_fits_is_not_cut() -> None:
    text = "x" * (LINE_BYTES_MAX - 500)
    assert line(record(text))["message"] == text


def test_a_line_of_many_fields_has_each_of_them_cut() -> None:
    found = line(record("a message", **{f"field_{n}": "x" * 1_000 for n in range(200)}))
    assert len(found) == 204
    assert found["field_7"] == "x" * 64 + "…"
    assert found["message"] == "a message"


def test_a_line_of_too_many_fields_keeps_what_every_line_has() -> None:
    found = line(record("a message", **{f"field_{n}": "x" * 60 for n in range(2_000)}))
    assert set(found) == {"time", "level", "logger", "message"}


def test_what_json_does_not_know_is_written_as_text() -> None:
    circle: list[object] = []
    circle.append(circle)
    for odd in (float("nan"), circle, {("a", "tuple"): 1}):
        assert line(record("odd", odd=odd))["odd"] == str(odd)
    assert line(record("odd", odd=Path("a/b")))["odd"] == "a/b"


@given(
    st.text(),
    st.dictionaries(
        st.text(min_size=1).map(lambda name: f"x_{name}"),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    ),
)
def test_every_line_is_json_on_one_line(message: str, extra: dict[str, object]) -> None:
    assert set(extra) <= set(line(record(message, **extra)))


def test_a_process_with_a_supervisor_logs_to_its_socket(
    receiver: tuple[socket.socket, str], root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound, path = receiver
    monkeypatch.setenv(SOCKET_VARIABLE, path)
    formatter = configure("INFO", pid=17)
    formatter.context["shard_id"] = "shardId-0"
    logging.getLogger("tillwatch.test").info("half a pair \ud800", extra={"records": 3})
    logging.getLogger("tillwatch.test").debug("not at this level")
    logging.getLogger("botocore").info("noise")
    logging.getLogger("tillwatch.test").warning("the second")
    first, second = (json.loads(bound.recv(LINE_BYTES_MAX)) for _ in range(2))
    assert first["message"] == "half a pair \ud800"
    assert (first["pid"], first["shard_id"], first["records"]) == (17, "shardId-0", 3)
    assert (second["level"], second["message"]) == ("WARNING", "the second")


def test_a_process_without_one_logs_to_standard_error(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    configure("INFO")
    logging.getLogger("tillwatch.test").info("a message")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["message"] == "a message"


def test_a_full_socket_drops_lines_counts_them_and_says_so_later(
    receiver: tuple[socket.socket, str],
) -> None:
    bound, path = receiver
    handler = DatagramHandler(path)
    handler.setFormatter(JsonFormatter())
    sent = 0
    while not handler.dropped:
        handler.handle(record(f"line {sent}"))
        sent += 1
    handler.handle(record("dropped too"))
    assert handler.dropped == 2
    for number in range(sent - 1):
        assert json.loads(bound.recv(LINE_BYTES_MAX))["message"] == f"line {number}"
    handler.handle(record("there is room again"))
    handler.handle(record("and all is said"))
    first, second = (json.loads(bound.recv(LINE_BYTES_MAX)) for _ in range(2))
    assert (first["message"], first["lines_dropped"]) == ("there is room again", 2)
    assert "lines_dropped" not in second
    handler.close()


def test_without_a_receiver_lines_are_dropped_and_nothing_is_raised(tmp_path: Path) -> None:
    handler = DatagramHandler(str(tmp_path / "nobody"))
    handler.setFormatter(JsonFormatter())
    handler.handle(record())
    assert handler.dropped == 1
    handler.close()


def test_a_message_that_cannot_be_made_is_not_the_shards_trouble(
    receiver: tuple[socket.socket, str], capsys: pytest.CaptureFixture[str]
) -> None:
    handler = DatagramHandler(receiver[1])
    handler.setFormatter(JsonFormatter())
    made = record("%d records")
    made.args = ("no number",)
    handler.handle(made)
    assert "--- Logging error ---" in capsys.readouterr().err
    assert handler.dropped == 0
    handler.close()
