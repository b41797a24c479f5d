"""`tillwatch ingest online-retail`: everything put, resumed where it was broken off, or written."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from local import ingest as module
from tests.local.test_online_retail import line, write
from tests.local.test_producer import on_stream

STREAM = "tills"
INVOICES = 60


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "retail.parquet"
    write(path, [line(str(1_000 + n), 1, 1.0, country=f"C{n % 7}") for n in range(INVOICES)])
    return path


@pytest.fixture
def kinesis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("TILLWATCH_CONFIG", raising=False)
    monkeypatch.setenv("TILLWATCH_STREAM", STREAM)
    monkeypatch.setenv("TILLWATCH_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with mock_aws():
        client = boto3.client("kinesis", region_name="eu-west-1")
        client.create_stream(StreamName=STREAM, ShardCount=1)
        yield client


def run(*arguments: object) -> Result:
    return CliRunner().invoke(module.ingest, ["online-retail", *map(str, arguments)])


def ids(client: Any) -> list[str]:
    return [json.loads(data)["transaction_id"] for _, data in on_stream(client)]


ALL = [str(1_000 + n) for n in range(INVOICES)]


def test_every_invoice_is_put_in_order(kinesis: Any, data: Path, tmp_path: Path) -> None:
    result = run(data, "--state", tmp_path / "state.json")
    assert result.exit_code == 0, result.output
    assert ids(kinesis) == ALL
    assert "60 records put, 60 of 60 in all" in result.output


def test_a_run_that_was_broken_off_goes_on(
    kinesis: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.json"
    monkeypatch.setattr(module, "_client", lambda _: BreaksOff(kinesis, after=4))
    assert run(data, "--state", state).exit_code != 0
    monkeypatch.undo()
    monkeypatch.setenv("TILLWATCH_STREAM", STREAM)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    before = ids(kinesis)
    acknowledged = json.loads(state.read_bytes())["acknowledged"]
    assert 0 < acknowledged < len(before) < INVOICES, "the last request's answer got lost"

    asked = run(data, "--state", state)
    assert asked.exit_code == 2
    assert f"{acknowledged} of 60 records are on this stream already" in asked.output
    assert ids(kinesis) == before

    assert run(data, "--state", state, "--resume").exit_code == 0
    assert ids(kinesis) == before + ALL[acknowledged:]
    assert set(ids(kinesis)) == set(ALL)

    assert "0 records put, 60 of 60" in run(data, "--state", state, "--resume").output
    assert run(data, "--state", state, "--restart").exit_code == 0
    assert ids(kinesis) == before + ALL[acknowledged:] + ALL


class BreaksOff:
    """The stream until the answer of request `after` gets lost, together with the process."""

    def __init__(self, real: Any, after: int) -> None:
        self.real = real
        self.left = after

    def describe_stream_summary(self, **arguments: Any) -> Any:
        return self.real.describe_stream_summary(**arguments)

    def put_records(self, **arguments: Any) -> Any:
        answer = self.real.put_records(**arguments)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return answer


def test_a_state_file_of_another_stream_does_not_count(
    kinesis: Any, data: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    run(data, "--state", state)
    kinesis.delete_stream(StreamName=STREAM)
    kinesis.create_stream(StreamName=STREAM, ShardCount=1)
    refused = run(data, "--state", state, "--resume")
    assert refused.exit_code == 1
    assert "about another file or stream" in refused.output
    assert run(data, "--state", state).exit_code == 0
    assert ids(kinesis) == ALL


def test_a_spoilt_state_file_is_said(kinesis: Any, data: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_bytes(b"{")
    refused = run(data, "--state", state, "--resume")
    assert "cannot be read" in refused.output
    assert run(data, "--state", state, "--restart").exit_code == 0


def test_no_stream_and_no_setting_are_said(
    kinesis: Any, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILLWATCH_STREAM", "elsewhere")
    result = run(data)
    assert result.exit_code == 1
    assert "stream elsewhere cannot be reached" in result.output
    monkeypatch.delenv("TILLWATCH_STREAM")
    assert "TILLWATCH_STREAM: Field required" in run(data).output


def test_a_file_that_is_not_the_data_set_is_said(tmp_path: Path) -> None:
    path = tmp_path / "no.parquet"
    path.write_bytes(b"none")
    result = run(path, "--output", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "no Parquet file" in result.output


@pytest.mark.parametrize("name", ["wire.jsonl", "wire.jsonl.gz"])
def test_written_lines_are_what_would_be_put(data: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    assert run(data, "--output", out).exit_code == 0
    text = gzip.decompress(out.read_bytes()) if name.endswith("gz") else out.read_bytes()
    assert [json.loads(wire)["transaction_id"] for wire in text.splitlines()] == ALL
    (tmp_path / "again").mkdir()
    again = tmp_path / "again" / name
    run(data, "--output", again)
    assert again.read_bytes() == out.read_bytes()
