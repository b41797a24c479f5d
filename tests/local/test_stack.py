"""The stack: what it creates, what it leaves, and that a killed one stands in nobody's way."""

import signal
import stat
import subprocess
import sys
import time
from base64 import b64decode
from pathlib import Path

import pytest

from local.stack import Stack
from local.state_folder import StateFolder, StateFolderError
from sinks.archive_seal import KEY_BYTES
from tests.local.listening import listening

_KILLED = """
import os, signal, sys
from pathlib import Path
from local.stack import Stack
with Stack(Path(sys.argv[1]), opensearch=False) as stack:
    print(stack.aws.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.integration
def test_everything_a_worker_needs_is_there(tmp_path: Path) -> None:
    with Stack(tmp_path / "state", shards=3, opensearch=False) as stack:
        made = stack.provisioned
        assert len(made.shards) == 3
        leases = stack.aws.client("dynamodb").scan(TableName=made.application)["Items"]
        assert {lease["leaseKey"]["S"] for lease in leases} == set(made.shards)
        assert {lease["checkpoint"]["S"] for lease in leases} == {"TRIM_HORIZON"}
        assert stack.aws.client("s3").list_objects_v2(Bucket=made.bucket)["KeyCount"] == 0
        stack.aws.client("sns").publish(TopicArn=made.topic_arn, Message="a page")
        messages = stack.aws.client("sqs").receive_message(QueueUrl=made.pages_queue_url)
        assert [message["Body"] for message in messages["Messages"]] == ["a page"]


@pytest.mark.integration
def test_renewed_stack_shares_nothing_with_the_one_before(tmp_path: Path) -> None:
    with Stack(tmp_path / "state", opensearch=False) as stack:
        first = stack.provisioned
        second = stack.renew(shards=2)
        assert first.stream != second.stream
        assert first.bucket != second.bucket
        assert stack.environment()["TILLWATCH_STREAM"] == second.stream
        assert len(second.shards) == 2


@pytest.mark.integration
def test_environment_lets_nothing_of_others_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "production")
    monkeypatch.setenv("TILLWATCH_OPENSEARCH_PASSWORD", "production")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with Stack(tmp_path / "state", opensearch=False) as stack:
        environment = stack.environment()
    assert "production" not in environment.values()
    assert "JAVA_HOME" not in environment
    assert environment["TILLWATCH_AWS_ENDPOINT"].startswith("http://127.0.0.1:")


@pytest.mark.integration
def test_two_stacks_stand_side_by_side(tmp_path: Path) -> None:
    with (
        Stack(tmp_path / "one", opensearch=False) as one,
        Stack(tmp_path / "two", opensearch=False) as two,
    ):
        assert one.aws.url != two.aws.url
        assert listening(one.aws.pid) == listening(two.aws.pid) == {"127.0.0.1"}


@pytest.mark.integration
def test_killed_run_leaves_no_server_and_does_not_break_the_next(tmp_path: Path) -> None:
    state = tmp_path / "state"
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(state)],
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    orphan = Path("/proc", killed.stdout.strip())
    deadline = time.monotonic() + 30
    while orphan.exists():
        assert time.monotonic() < deadline, "the endpoint outlived its parent"
        time.sleep(0.1)
    with Stack(state, opensearch=False) as stack:
        assert stack.aws.client("kinesis").list_streams()["StreamNames"] == ["tillwatch"]


def test_folder_of_others_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StateFolderError, match="was not made by Tillwatch"), StateFolder(tmp_path):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        StateFolder(tmp_path / "state"),
        pytest.raises(StateFolderError, match="another demo"),
        StateFolder(tmp_path / "state"),
    ):
        pass


def test_folder_is_emptied_but_keeps_its_key_to_its_owner(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "state") as folder:
        key = folder.pseudonym_key()
        (folder.path / "old").mkdir()
        (folder.path / "old" / "file").write_text("of the run before")
    mode = stat.S_IMODE((tmp_path / "state" / "pseudonym.key").stat().st_mode)
    assert mode == 0o600
    with StateFolder(tmp_path / "state") as folder:
        assert not (folder.path / "old").exists()
        assert folder.pseudonym_key() == key
        assert len(key) >= 32
        folder.remove()
    assert not (tmp_path / "state").exists()


@pytest.mark.integration
def test_renewed_stack_has_its_templates_and_no_index(stack: Stack) -> None:
    client = stack.search_client()
    try:
        document = {"transaction_id": "t-1", "shop_id": "shop-1", "type": "SALE"}
        client.index(index="transactions-2026.01.05", id="t-1", body=document)
        stack.renew()
        assert client.indices.get(index="transactions-*") == {}
        with pytest.raises(Exception, match="strict_dynamic_mapping_exception"):
            client.index(index="transactions-2026.01.05", id="t-1", body={"surprise": 1})
        stack.renew()
    finally:
        client.close()


def test_the_archive_key_is_one_and_stays_with_the_folder(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "state") as folder:
        key = folder.archive_key()
        assert len(b64decode(key)) == KEY_BYTES
        assert key not in folder.pseudonym_key()
    with StateFolder(tmp_path / "state") as again:
        assert again.archive_key() == key
    with StateFolder(tmp_path / "another") as another:
        assert another.archive_key() != key
