"""The child as the daemon starts it: a process, whose standard output is the protocol's alone."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from consumer.lease import WORKER_VARIABLE
from consumer.logs import LINE_BYTES_MAX, SOCKET_VARIABLE
from consumer.snapshot import FORMAT_VERSION, MAGIC
from local.aws import AwsEndpoint
from sinks.directory import DirectoryObjectStore
from sinks.dynamodb_fence import DynamoFence
from sinks.fence import Held
from tests.consumer.conftest import Holding

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent
DEADLINE_SECONDS = 120
SHARD, FOURTH = "shardId-000000000000", "shardId-000000000003"
CLOSED = "http://127.0.0.1:9"
"""Nobody answers at the discard port; a shard without records asks nobody."""

PRINTING = """
import os, sys
import consumer.child as child
build = child.Assembly.build
def printing(*arguments):
    print('{"action": "status", "responseFor": "initialize"}')
    sys.stdout.flush()
    os.write(1, b"straight to the descriptor\\n")
    os.system("echo from a program that it starts")
    return build(*arguments)
child.Assembly.build = printing
child.main()
"""


def environment(folder: Path, holding: Holding | None = None, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **kept,
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "TILLWATCH_STREAM": "tills",
        "TILLWATCH_AWS_ENDPOINT": CLOSED,
        "TILLWATCH_OPENSEARCH_URL": CLOSED,
        "TILLWATCH_BUCKET": "lake",
        "TILLWATCH_SNAPSHOT_DIRECTORY": str(folder / "store"),
        "TILLWATCH_TOPIC_ARN": "arn:aws:sns:eu-west-1:1:pages",
        "TILLWATCH_DEAD_LETTER_QUEUE_URL": f"{CLOSED}/letters",
        "TILLWATCH_PSEUDONYM_KEY": "correct horse battery staple",
        **(holding.environment if holding else {}),
        **more,
    }


class Child:
    """A child process, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def send(self, action: str, **fields: Any) -> None:
        self._stdin.write(json.dumps({"action": action, **fields}).encode() + b"\n")
        self._stdin.flush()

    def answer(self) -> dict[str, Any] | None:
        while line := self._stdout.readline():
            if line.strip():
                found: dict[str, Any] = json.loads(line)
                return found
        return None

    def end(self) -> tuple[bytes, bytes]:
        """Close the pipe, as the daemon does, and wait: what it said on both ways since."""
        return self.process.communicate(timeout=DEADLINE_SECONDS)


@contextmanager
def child(variables: dict[str, str], *program: str) -> Iterator[Child]:
    with subprocess.Popen(
        [sys.executable, *(program or ("-m", "consumer.child"))],
        env=variables,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        watchdog = threading.Timer(DEADLINE_SECONDS, process.kill)
        watchdog.start()
        try:
            yield Child(process)
        finally:
            watchdog.cancel()
            process.kill()


def log_lines(err: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines() if line.startswith(b"{")]


def test_with_bad_settings_it_ends_and_says_nothing_to_the_daemon(tmp_path: Path) -> None:
    with child(environment(tmp_path, TILLWATCH_KEY_GROUPS="0")) as process:
        out, err = process.end()
    assert process.process.returncode == 1
    assert out == b""
    assert b"TILLWATCH_KEY_GROUPS" in err
    assert b"horse" not in err


def test_a_shard_without_records_is_taken_ticked_and_given_back(
    tmp_path: Path, holding: Holding
) -> None:
    with child(environment(tmp_path, holding)) as process:
        for action, fields in (
            ("initialize", {"shardId": SHARD, "sequenceNumber": "TRIM_HORIZON"}),
            ("processRecords", {"records": [], "millisBehindLatest": 0}),
            ("shutdownRequested", {}),
        ):
            process.send(action, **fields)
            assert process.answer() == {"action": "status", "responseFor": action}
        out, err = process.end()
    assert process.process.returncode == 0
    assert out == b""
    taken = log_lines(err)[0]
    assert taken["message"] == "shard taken"
    assert (taken["level"], taken["shard_id"], taken["shops"]) == (
        "INFO",
        SHARD,
        0,
    )


def test_what_is_printed_by_mistake_does_not_reach_the_protocol(
    tmp_path: Path, holding: Holding
) -> None:
    with child(environment(tmp_path, holding), "-c", PRINTING) as process:
        process.send("initialize", shardId=SHARD, sequenceNumber="TRIM_HORIZON")
        assert process.answer() == {"action": "status", "responseFor": "initialize"}
        process.send("shutdownRequested")
        assert process.answer() == {"action": "status", "responseFor": "shutdownRequested"}
        out, err = process.end()
    assert process.process.returncode == 0
    assert out == b""
    assert b'"responseFor": "initialize"' in err
    assert b"straight to the descriptor" in err
    assert b"from a program that it starts" in err


def test_a_daemon_that_is_killed_is_no_alarm_of_the_child(tmp_path: Path, holding: Holding) -> None:
    with child(environment(tmp_path, holding)) as process:
        process.send("initialize", shardId=SHARD, sequenceNumber="TRIM_HORIZON")
        assert process.answer() == {"action": "status", "responseFor": "initialize"}
        assert process.process.stdout is not None
        assert process.process.stderr is not None
        process.process.stdout.close()
        process.send("processRecords", records=[], millisBehindLatest=0)
        err = process.process.stderr.read()
        assert process.process.wait(DEADLINE_SECONDS) == 1
    said = log_lines(err)[-1]
    assert said["level"] == "WARNING"
    assert "the daemon is gone" in said["message"]


def test_an_unexpected_error_ends_it_with_its_reason_in_the_log(
    tmp_path: Path, holding: Holding
) -> None:
    with child(environment(tmp_path, holding)) as process:
        process.send("dance")
        assert process.answer() is None
        _, err = process.end()
    assert process.process.returncode == 1
    said = log_lines(err)[-1]
    assert said["level"] == "CRITICAL"
    assert "ProtocolError" in said["exception"]


def test_a_checkpoint_whose_snapshot_is_not_there_is_refused(
    tmp_path: Path, holding: Holding
) -> None:
    with child(environment(tmp_path, holding)) as process:
        process.send(
            "initialize",
            shardId=SHARD,
            sequenceNumber="49590",
            subSequenceNumber=2,
        )
        assert process.answer() is None
        _, err = process.end()
    assert process.process.returncode == 1
    said = log_lines(err)[-1]
    assert f"the snapshot of {SHARD} at 49590-2 cannot be used" in said["exception"]
    assert "docs/operations.md" in said["exception"]


def test_a_snapshot_of_a_later_version_is_refused_by_name(
    tmp_path: Path, holding: Holding, aws: AwsEndpoint
) -> None:
    store = DirectoryObjectStore(tmp_path / "store")
    store.put("snapshots/7", MAGIC + (FORMAT_VERSION + 1).to_bytes(2, "big") + bytes(16) + b"body")
    fence = DynamoFence(
        aws.client("dynamodb"),
        holding.made.ledger_table,
        holding.made.application,
        threading.Event(),
    )
    fence.note(
        SHARD,
        Held(fence.advance(SHARD).epoch, {"7-0": "snapshots/7"}),
    )
    with child(environment(tmp_path, holding)) as process:
        process.send("initialize", shardId=SHARD, sequenceNumber="7", subSequenceNumber=0)
        assert process.answer() is None
        _, err = process.end()
    assert f"format version {FORMAT_VERSION + 1}" in log_lines(err)[-1]["exception"]


def test_a_shard_that_another_worker_holds_is_left_alone(tmp_path: Path, holding: Holding) -> None:
    with child(environment(tmp_path, holding, **{WORKER_VARIABLE: "a zombie"})) as process:
        for action, fields in (
            (
                "initialize",
                {"shardId": SHARD, "sequenceNumber": "7", "subSequenceNumber": 0},
            ),
            ("processRecords", {"records": [record(8)], "millisBehindLatest": 0}),
            ("leaseLost", {}),
        ):
            process.send(action, **fields)
            assert process.answer() == {"action": "status", "responseFor": action}
        out, err = process.end()
    assert process.process.returncode == 0
    assert out == b""
    assert any("held by worker-of-the-test" in line["message"] for line in log_lines(err))
    assert not (tmp_path / "store").exists()


def test_a_child_that_nobody_named_says_what_to_do(tmp_path: Path, holding: Holding) -> None:
    with child(environment(tmp_path, holding, **{WORKER_VARIABLE: ""})) as process:
        process.send("initialize", shardId=SHARD, sequenceNumber="TRIM_HORIZON")
        assert process.answer() is None
        _, err = process.end()
    assert "start the worker with `tillwatch run`" in log_lines(err)[-1]["exception"]


def test_a_supervised_child_logs_to_its_supervisors_socket(
    tmp_path: Path, holding: Holding
) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(DEADLINE_SECONDS)
        with child(environment(tmp_path, holding, **{SOCKET_VARIABLE: path})) as process:
            process.send("initialize", shardId=FOURTH, sequenceNumber="TRIM_HORIZON")
            assert process.answer() == {"action": "status", "responseFor": "initialize"}
            line = json.loads(receiver.recv(LINE_BYTES_MAX))
            out, err = process.end()
    assert (out, err) == (b"", b"")
    assert (line["shard_id"], line["pid"]) == (FOURTH, process.process.pid)


def record(number: int) -> dict[str, Any]:
    return {
        "action": "record",
        "data": base64.b64encode(b"not a transaction").decode(),
        "partitionKey": "shop-1",
        "sequenceNumber": str(number),
        "subSequenceNumber": 0,
        "approximateArrivalTimestamp": 1_767_600_000_000,
    }


def test_while_no_service_answers_it_waits_and_takes_no_more_than_the_next(
    tmp_path: Path, holding: Holding
) -> None:
    with child(environment(tmp_path, holding, TILLWATCH_BATCH_RECORDS_MAX="1")) as process:
        process.send("initialize", shardId=SHARD, sequenceNumber="TRIM_HORIZON")
        assert process.answer() == {"action": "status", "responseFor": "initialize"}
        # Of the first it commits one record, or tries to; the second is held, and the third waits.
        for number in (1, 3, 5):
            records = [record(number), record(number + 1)]
            process.send("processRecords", records=records, millisBehindLatest=0)
        assert process.process.stderr is not None
        while b"try 3 failed" not in (line := process.process.stderr.readline()):
            assert line, "it ended"
        assert process.process.poll() is None
        process.process.kill()
        out, _ = process.end()
    taken = {"action": "status", "responseFor": "processRecords"}
    assert [json.loads(line) for line in out.splitlines() if line] == [taken]
    assert not (tmp_path / "store").exists()
