"""The demo as a person runs it: the whole program, real parts, nothing left behind."""

import json
import os
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

_TILLWATCH = str(Path(sysconfig.get_path("scripts"), "tillwatch"))

pytestmark = pytest.mark.integration


def marked(state: Path) -> dict[str, str]:
    """An environment that everything started from it inherits, however long `state` is."""
    return os.environ | {"DEMO_UNDER_TEST": str(state)}


def running_in(state: Path) -> list[str]:
    """The processes that were started by the demo of `state`, and by what it started."""
    mark = f"DEMO_UNDER_TEST={state}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def wire(number: int, kind: str = "SALE") -> bytes:
    return msgspec.json.encode(
        {
            "schema": 1,
            "transaction_id": f"t-{number}",
            "shop_id": f"shop-{number % 7}",
            "type": kind,
            "occurred_at": f"2026-01-05T{number % 24:02}:31:07.250+00:00",
            "currency": "GBP",
            "total": "24.99",
        }
    )


def test_once_accounts_for_every_line(tmp_path: Path) -> None:
    sales = [wire(number) for number in range(600)]
    refunds = [wire(number, "REFUND") for number in range(600, 640)]
    garbage = [b"", b"not json", b"\xff\xfe", b"{}", b'{"shop_id":"shop-1"}']
    repeated = sales[:10]
    source = tmp_path / "input.jsonl"
    source.write_bytes(b"\n".join([*sales, *garbage, *refunds, *repeated]) + b"\n")
    state = tmp_path / "state"
    command = [_TILLWATCH, "demo", "--once", "--keep", "--shards", "2"]
    done = subprocess.run(
        [*command, "--input", str(source), "--state", str(state)],
        env=marked(state),
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert counts.pop("seconds") > 0
    assert counts.pop("pages") >= 0
    assert counts == {
        "records": 655,
        "transactions": 640,
        "rejections": 5,
        "repeated": 10,
        "refunds": 40,
        "documents": 640,
        "parquet_rows": 640,
    }
    assert running_in(state) == []
    files = list(state.glob("aws/s3/*/*/processed/**/*.parquet"))
    assert sum(pq.read_metadata(file).num_rows for file in files) == 640
    assert "state is left in" in done.stderr


def test_sigterm_in_the_middle_ends_everything_and_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with subprocess.Popen(
        [_TILLWATCH, "demo", "--speedup", "600", "--state", str(state)],
        env=marked(state),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        told = []
        for line in program.stderr:
            told.append(line)
            if "worker started" in line:
                break
        else:
            pytest.fail("".join(told))
        assert any("live page: http://127.0.0.1:" in line for line in told)
        time.sleep(8.0)  # let it be busy: feeding, taking leases, committing
        assert len(running_in(state)) > 5
        program.send_signal(signal.SIGTERM)
        rest = program.stderr.read()
        assert program.wait(150) == 0, rest
    assert "last checkpoints" in rest
    assert running_in(state) == []
    assert not state.exists()


def test_signal_while_parts_come_up_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with subprocess.Popen(
        [_TILLWATCH, "demo", "--once", "--state", str(state)],
        env=marked(state),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        for line in program.stderr:
            if "created stream" in line:
                break
        program.send_signal(signal.SIGINT)
        rest = program.stderr.read()
        assert program.wait(100) == 130, rest
    assert running_in(state) == []
    assert not state.exists()


def test_input_that_cannot_go_onto_the_stream_is_named(tmp_path: Path) -> None:
    source = tmp_path / "input.jsonl"
    source.write_bytes(wire(1) + b"\n" + b"x" * 1_100_000 + b"\n")
    state = tmp_path / "state"
    done = subprocess.run(
        [_TILLWATCH, "demo", "--once", "--input", str(source), "--state", str(state)],
        env=marked(state),
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 1
    assert "record 1 of the input" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert running_in(state) == []


def test_folder_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = subprocess.run(
        [_TILLWATCH, "demo", "--once", "--state", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "was not made by Tillwatch" in done.stderr
    assert (tmp_path / "thesis.txt").exists()
