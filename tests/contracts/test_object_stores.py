"""What every ObjectStore promises."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from sinks.directory import DirectoryObjectStore
from sinks.memory import MemoryObjectStore
from sinks.object_store import ConditionalStore, ObjectStore
from sinks.s3 import S3ObjectStore

if TYPE_CHECKING:
    from local.aws import AwsEndpoint


@pytest.fixture(
    params=[
        "memory",
        "directory",
        "s3",
        "s3 below a prefix",
        pytest.param("s3 at the endpoint", marks=pytest.mark.integration),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ConditionalStore]:
    if request.param == "memory":
        yield MemoryObjectStore()
    elif request.param == "directory":
        yield DirectoryObjectStore(tmp_path / "objects")
    elif request.param == "s3 at the endpoint":
        aws: AwsEndpoint = request.getfixturevalue("aws")
        client = aws.client("s3")
        bucket = f"stores-{uuid.uuid4()}"
        client.create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region}
        )
        yield S3ObjectStore(client, bucket, threading.Event())
        client.close()
    else:
        with mock_aws():
            client = boto3.client(
                "s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
            )
            client.create_bucket(Bucket="stores")
            client.put_object(Bucket="stores", Key="stranger", Body=b"not ours")
            prefix = "below/" if "prefix" in request.param else ""
            if not prefix:
                client.delete_object(Bucket="stores", Key="stranger")
            yield S3ObjectStore(client, "stores", threading.Event(), prefix)


def test_what_was_put_is_got(store: ObjectStore) -> None:
    body = bytes(range(256)) * 1_000
    store.put("a/b/c-1.bin", body)
    assert store.get("a/b/c-1.bin") == body


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.put("empty", b"")
    assert store.get("empty") == b""
    assert store.keys("") == ["empty"]


def test_a_put_replaces(store: ObjectStore) -> None:
    store.put("a", b"longer than the next")
    store.put("a", b"next")
    assert store.get("a") == b"next"
    assert store.keys("a") == ["a"]


def test_what_is_not_there_is_a_key_error(store: ObjectStore) -> None:
    with pytest.raises(KeyError):
        store.get("a/b")
    store.put("a/b/c", b"")
    with pytest.raises(KeyError):
        store.get("a/b")
    with pytest.raises(KeyError):
        store.get("a/b/c/d")


def test_keys_are_those_with_the_prefix_sorted(store: ObjectStore) -> None:
    for key in ("s/2", "s/10", "s/1/x=1/deep", "sx", "t/1"):
        store.put(key, b"")
    assert store.keys("s/") == ["s/1/x=1/deep", "s/10", "s/2"]
    assert store.keys("s/1") == ["s/1/x=1/deep", "s/10"]
    assert store.keys("s") == ["s/1/x=1/deep", "s/10", "s/2", "sx"]
    assert store.keys("") == ["s/1/x=1/deep", "s/10", "s/2", "sx", "t/1"]
    assert store.keys("nothing/here") == []


def test_delete_removes_and_may_be_repeated(store: ObjectStore) -> None:
    store.put("a/1", b"1")
    store.put("a/2", b"2")
    store.delete("a/1")
    store.delete("a/1")
    store.delete("never/was")
    assert store.keys("") == ["a/2"]
    with pytest.raises(KeyError):
        store.get("a/1")


def test_many_threads_may_use_it(store: ObjectStore) -> None:
    def work(name: int) -> None:
        for n in range(5):
            store.put(f"{name}/{n}", b"%d" % n)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(store.keys("")) == 20


def test_one_of_two_writers_wins(store: ConditionalStore) -> None:
    assert store.tagged("m/day") is None
    assert store.put_if("m/day", b"one", None)
    assert not store.put_if("m/day", b"other", None), "there is one"
    held = store.tagged("m/day")
    assert held is not None
    assert held[0] == b"one"
    assert store.put_if("m/day", b"two", held[1])
    assert not store.put_if("m/day", b"three", held[1]), "it has changed since"
    assert store.get("m/day") == b"two"
    assert store.keys("m/") == ["m/day"]


def test_a_write_whose_answer_was_lost_may_be_repeated(store: ConditionalStore) -> None:
    assert store.put_if("m/day", b"one", None)
    assert store.put_if("m/day", b"one", None)
    held = store.tagged("m/day")
    assert held is not None
    assert store.put_if("m/day", b"two", held[1])
    assert store.put_if("m/day", b"two", held[1])
    store.delete("m/day")
    assert not store.put_if("m/day", b"three", held[1]), "what is gone has no tag"
    assert store.tagged("m/day") is None


def test_of_many_writers_under_one_condition_one_wins(store: ConditionalStore) -> None:
    won: list[int] = []

    def work(name: int) -> None:
        if store.put_if("m/day", b"%d" % name, None):
            won.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(won) == 1
    assert store.get("m/day") == b"%d" % won[0]
