"""The feeder, onto a real stream: everything once, in order, and no more after a stop."""

import time
from pathlib import Path
from typing import Any

import pytest

from events.instant import DAY
from local import feeder as module
from local.aws import AwsEndpoint
from local.feeder import Feeder, first_burst
from local.provision import Provisioned, provision
from local.samples import START, sample_stream
from local.stream_reading import contents

pytestmark = pytest.mark.integration


@pytest.fixture
def made(aws: AwsEndpoint, tmp_path: Path) -> Provisioned:
    return provision(aws, name=f"feeder-{tmp_path.name.replace('_', '-')}"[:50], shards=2)


def wait_for(feeder: Feeder) -> None:
    deadline = time.monotonic() + 60
    while not feeder.done:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert feeder.error is None, feeder.error


def on_stream(aws: AwsEndpoint, made: Provisioned) -> list[tuple[str, bytes]]:
    kinesis = aws.client("kinesis")
    found: list[tuple[str, bytes]] = []
    for shard in made.shards:
        question: dict[str, Any] = {"StreamName": made.stream, "ShardId": shard}
        iterator = kinesis.get_shard_iterator(**question, ShardIteratorType="TRIM_HORIZON")
        answer = kinesis.get_records(ShardIterator=iterator["ShardIterator"], Limit=10_000)
        found += [(record["PartitionKey"], record["Data"]) for record in answer["Records"]]
    return found


def test_file_is_put_line_by_line(aws: AwsEndpoint, made: Provisioned, tmp_path: Path) -> None:
    lines = [b'{"shop_id":"shop-%d"}' % (n % 5) for n in range(1_200)] + [b"garbage", b"\x00\xff"]
    (tmp_path / "input.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    feeder = Feeder(aws.client("kinesis"), made.stream, lambda _: None)
    feeder.start_file(tmp_path / "input.jsonl")
    wait_for(feeder)
    assert sorted(data for _, data in on_stream(aws, made)) == sorted(lines)
    found = contents(aws.client("kinesis"), made.stream, made.shards)
    assert found.records == feeder.put == len(lines)
    assert set(found.tips) == set(made.shards)


def test_history_and_live_together_are_the_whole_stream(
    aws: AwsEndpoint, made: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHOPS", 2)
    monkeypatch.setattr(module, "HISTORY_DAYS", 1)
    monkeypatch.setattr(module, "_LIVE_DAYS", 2)
    told: list[str] = []
    feeder = Feeder(aws.client("kinesis"), made.stream, told.append)
    feeder.start_live(seed=3, speedup=1e12)
    wait_for(feeder)
    samples = list(sample_stream(3, shops=2, days=2, warm_up_days=1))
    expected = [(sample.shop_id, sample.data) for sample in samples]
    found = on_stream(aws, made)
    for shop in {key for key, _ in expected}:
        assert [data for key, data in found if key == shop] == [
            data for key, data in expected if key == shop
        ]
    assert any("history" in line for line in told)


def test_stop_ends_it_between_two_requests(aws: AwsEndpoint, made: Provisioned) -> None:
    feeder = Feeder(aws.client("kinesis"), made.stream, lambda _: None)
    feeder.start_samples(seed=1)
    while not feeder.put:
        assert feeder.error is None
        time.sleep(0.01)
    feeder.stop()
    assert feeder.done
    put = feeder.put
    assert contents(aws.client("kinesis"), made.stream, made.shards).records == put
    assert put < 30_000


def test_refusal_is_kept_for_who_watches(aws: AwsEndpoint) -> None:
    feeder = Feeder(aws.client("kinesis"), "no-such-stream", lambda _: None)
    feeder.start_samples(seed=1)
    deadline = time.monotonic() + 30
    while not feeder.done:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "no-such-stream" in str(feeder.error)


def test_live_part_begins_at_a_burst_after_the_history() -> None:
    burst = first_burst(1)
    assert START + module.HISTORY_DAYS * DAY < burst < START + 28 * DAY
