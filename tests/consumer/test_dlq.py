"""`tillwatch dlq` over a real queue, bucket, stream and ledger."""

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from consumer.cli import main
from local.stack import Stack
from sinks.dlq import DeadLetterSink
from sinks.letter import letter_of, message
from sinks.s3 import S3ObjectStore
from tests.consumer.world import wire
from tests.sinks.made import rejection

pytestmark = pytest.mark.integration

JANE = {"contact": {"name": "Jane Smith", "email": "jane@example.org"}, "customer": "Jane Smith"}
SECRETS = ("Jane", "Smith", "jane@example.org", "4111111111111111")


class Shop:
    """A stack, letters in its queue, and the command line over them."""

    def __init__(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = stack.renew(shards=2)
        self.stack = stack
        self.sqs = stack.aws.client("sqs")
        self.store = S3ObjectStore(stack.aws.client("s3"), self.made.bucket, threading.Event())
        for name in list(os.environ):
            if name.startswith(("AWS_", "TILLWATCH_")):
                monkeypatch.delenv(name)
        self.environment = {
            name: value
            for name, value in stack.environment().items()
            if name.startswith(("AWS_", "TILLWATCH_", "NO_PROXY", "no_proxy"))
        }

    def write(self, *rejections: Any) -> None:
        url = self.made.dead_letter_queue_url
        sink = DeadLetterSink(self.sqs, url, self.store, threading.Event())
        sink.write_rejections(rejections)

    def run(self, *arguments: str, text: str | None = None, **settings: str) -> Result:
        result = CliRunner().invoke(
            main, ["dlq", *arguments], env=self.environment | settings, input=text
        )
        assert not [secret for secret in SECRETS if secret in result.output]
        return result

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        result = self.run("list", "--json", *arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    def records(self) -> int:
        kinesis = self.stack.aws.client("kinesis")
        count = 0
        for shard in self.made.shards:
            at = kinesis.get_shard_iterator(
                StreamName=self.made.stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
            )
            count += len(kinesis.get_records(ShardIterator=at["ShardIterator"])["Records"])
        return count


@pytest.fixture
def shop(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(stack, monkeypatch)


def bad(number: int, data: bytes | None = None, **fields: Any) -> Any:
    payment = {"method": "CARD", "card_token": "4111111111111111"}
    if data is None:
        data = wire(number, total="-5.00", payment=payment, reason="for Mrs Smith", **JANE)
    values = {"reason": "amount_not_positive", "field": "total", "shop_id": "shop-1"}
    return rejection(number, data, **values | fields)


def id_of(entry: Any) -> str:
    return letter_of("m", message(entry)).letter_id


def test_letters_are_listed_filtered_and_counted(shop: Shop) -> None:
    shop.write(*(bad(number) for number in range(14)), *(bad(number) for number in range(3)))
    shop.write(rejection(20, shop_id="shop-2"), bad(21, shop_id="shop-2"))
    result = shop.run("list")
    assert result.exit_code == 0
    assert "16 letters, and 3 more copies of them" in result.stdout
    assert result.stdout.count("parse  amount_not_positive") == 15
    rows = shop.rows()
    assert [row["copies"] for row in rows[:-1]].count(2) == 3
    assert rows[-1]["summary"]["letters"] == 16
    assert rows[-1]["summary"]["complete"]
    shown = shop.rows("--shop", "shop-2", "--reason", "amount_not_positive")
    assert [row["letter_id"] for row in shown[:-1]] == [id_of(bad(21))]
    assert len(shop.rows("--limit", "4")) == 5
    assert shop.rows("--limit", "4")[-1]["summary"]["letters"] == 16
    assert shop.rows("--since", "2026-02-01")[-1]["summary"]["letters"] == 0
    assert shop.rows("--until", "2026-01-05T12:00:01Z")[-1]["summary"]["letters"] == 16


def test_a_bound_that_cuts_the_answer_is_said(shop: Shop) -> None:
    shop.write(*(bad(number) for number in range(14)))
    result = shop.run("list", "--read-max", "5")
    assert result.exit_code == 3
    assert "not all of it: the bound of 5 messages was reached" in result.stderr
    assert "5 letters" in result.stdout
    assert not json.loads(shop.run("list", "--json", "--read-max", "5").stdout.splitlines()[-1])[
        "summary"
    ]["complete"]


def test_show_masks_and_raw_writes_for_the_owner_alone(shop: Shop, tmp_path: Path) -> None:
    shop.write(bad(1), rejection(2, b'{"total": 1, "name": "Jane \xff', detail="(at byte 27)"))
    result = shop.run("show", id_of(bad(1)))
    assert result.exit_code == 0, result.output
    assert '"total": "-5.00"' in result.stdout
    assert '"card_token": "card-' in result.stdout
    assert '"customer": "‹10 characters, masked›"' in result.stdout
    path = tmp_path / "record.json"
    result = shop.run("show", letter_of("m", message(bad(1))).record_id, "--raw", str(path))
    assert "in the clear" in result.stderr
    assert path.read_bytes() == bad(1).data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    result = shop.run("show", id_of(bad(1)), "--raw", str(path))
    assert result.exit_code == 1
    assert "File exists" in result.stderr
    result = shop.run("show", id_of(rejection(2)))
    assert "byte 27 is 0xff" in result.stdout
    assert "no JSON object" in result.stdout
    result = shop.run("show", "0123456789abcdef")
    assert result.exit_code == 3
    assert "0123456789abcdef is not among the 2 messages" in result.stderr


def test_redriven_letters_leave_the_queue_and_count_once(shop: Shop) -> None:
    shop.write(*(bad(number) for number in range(12)), *(bad(number) for number in range(4)))
    shop.write(rejection(20))
    chosen = ("redrive", "--reason", "amount_not_positive")
    result = shop.run(*chosen)
    assert result.exit_code == 3
    assert result.stdout.count("it would be rejected again") == 12
    result = shop.run(*chosen, "--fix", "total=5.00", "--dry-run")
    assert result.exit_code == 0
    assert "12 letters: 12 ready" in result.stdout
    assert shop.records() == 0
    result = shop.run(*chosen, "--fix", "total=5.00", "--limit", "5")
    assert result.exit_code == 0
    assert "5 letters: 5 redriven" in result.stdout
    result = shop.run(*chosen, "--fix", "total=5.00", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[-1]["summary"] == {"letters": 7, "redriven": 7, "complete": True}
    assert shop.records() == 12
    shop.write(*(bad(number) for number in range(12)))  # a batch that was redone
    result = shop.run(*chosen)
    assert "12 letters: 12 already redriven" in result.stdout
    assert shop.records() == 12
    assert [row.get("reason") for row in shop.rows()] == ["not_json", None]


def test_one_letter_is_redriven_with_a_record_from_a_file(shop: Shop, tmp_path: Path) -> None:
    broken = rejection(1, b'{"total": 1')
    shop.write(broken)
    path = tmp_path / "mended.json"
    path.write_bytes(wire(1))
    result = shop.run("redrive", id_of(broken), "--record", str(path))
    assert result.exit_code == 0, result.output
    assert shop.records() == 1
    result = shop.run("redrive", id_of(broken), "--record", str(path))
    assert result.exit_code == 3
    assert "is not among the 0 messages" in result.stderr


def test_a_letter_whose_transaction_stands_already_is_kept(shop: Shop) -> None:
    shop.write(bad(1))
    client = shop.stack.search_client()
    position = {"shard_id": "shardId-9", "sequence_number": "1", "sub_sequence_number": 0}
    document = {"transaction_id": "t-000001", "position": position}
    client.index(index="transactions-2026.01.05", id="t-000001", body=document)
    result = shop.run("redrive", "--all", "--fix", "total=5")
    assert result.exit_code == 3
    assert "stands in OpenSearch already" in result.stdout
    # On another day it is found once it is searchable.
    client.indices.refresh(index="transactions-*")
    client.close()
    other_day = ("--fix", "total=5", "--fix", "occurred_at=2026-01-07T10:00:00Z")
    assert "stands in OpenSearch already" in shop.run("redrive", "--all", *other_day).stdout
    assert shop.records() == 0


def test_purge_asks_and_deletes_every_copy_and_the_bytes(shop: Shop) -> None:
    large = bad(1, b"\xff" * 300_000, reason="not_utf8")
    also = bad(1, large.data, reason="not_utf8", stage="parquet")
    shop.write(large, also, bad(2), bad(2), bad(3))
    assert len(shop.store.keys("dead-letters/")) == 1
    result = shop.run("purge", "--reason", "amount_not_positive", "--dry-run")
    assert result.exit_code == 0
    assert "2 letters, and 1 more copies" in result.stdout
    result = shop.run("purge", "--reason", "amount_not_positive", text="n\n")
    assert result.exit_code == 1
    assert shop.rows()[-1]["summary"]["letters"] == 4
    result = shop.run("purge", "--reason", "amount_not_positive", text="y\n")
    assert result.exit_code == 0
    assert "3 messages deleted" in result.stdout
    assert shop.run("purge", id_of(large), "--yes").exit_code == 0
    assert len(shop.store.keys("dead-letters/")) == 1, "another letter needs the bytes"
    assert shop.run("purge", "--all", "--yes", "--json").exit_code == 0
    assert shop.store.keys("dead-letters/") == []
    assert shop.rows() == [
        {
            "summary": {
                "letters": 0,
                "shown": 0,
                "by_reason": [],
                "complete": True,
                "hidden": 0,
            }
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["redrive"], "say which letters"),
        (["purge"], "say which letters"),
        (["redrive", "--all", "--fix", "total"], "no field=value"),
        (["redrive", "--all", "--record", __file__], "--record is for one LETTER_ID"),
        (["list", "--since", "lately"], "no ISO 8601 time"),
    ],
)
def test_what_cannot_be_meant_is_an_error_of_usage(
    shop: Shop, arguments: list[str], words: str
) -> None:
    result = shop.run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:9/none", "there is no queue"),
        ("LEDGER_TABLE", "none", "there is no table none (TILLWATCH_LEDGER_TABLE)"),
        ("STREAM", "none", "there is no stream none (TILLWATCH_STREAM)"),
        ("PSEUDONYM_KEY", "short", "TILLWATCH_PSEUDONYM_KEY"),
        ("AWS_ENDPOINT", "http://127.0.0.1:9", "gave up after 2 s"),
        ("OPENSEARCH_URL", "http://127.0.0.1:9", "gave up after 2 s"),
    ],
)
def test_what_is_missing_is_said_in_plain_words(
    shop: Shop, setting: str, value: str, words: str
) -> None:
    shop.write(bad(1))
    arguments = ("redrive", "--all", "--fix", "total=5", "--seconds-max", "2")
    result = shop.run(*arguments, **{f"TILLWATCH_{setting}": value})
    assert result.exit_code == 1, result.output
    assert words in result.stderr
    assert shop.rows()[-1]["summary"]["letters"] == 1
    assert shop.records() == 0
