"""A letter brought back: once, whoever dies or meets whom on the way. Over real endpoints."""

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from consumer.correction import Correction
from consumer.fingerprint import Fingerprint
from consumer.redrive import CLAIM_SECONDS_MAX, Choices, Fate, Outcome, Places, Redriver
from events.instant import DAY, SECOND
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from local.aws import AwsEndpoint
from local.provision import _create_stream
from sinks.kinesis import Placed, StreamWriter
from sinks.letter import Letter, letter_of, message
from sinks.memory import MemoryObjectStore
from sinks.redrive_ledger import RedriveLedger
from sinks.sink import Stopped
from tests.consumer.world import wire
from tests.sinks.aws_double import create_ledger_table
from tests.sinks.made import position, rejection

pytestmark = pytest.mark.integration

KEY = b"a key for tests only"
FIX = Correction(["total=5.00"])


class Crash(Exception):  # noqa: N818 -- it stands for kill -9
    """The process ends here."""


class Calls:
    """Counts the calls of several clients, and dies at one of them: before its effect, or after."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.die_at: tuple[int, str] | None = None

    def around(self, client: Any) -> Any:
        return _Counted(client, self)

    def call(self, name: str, call: Callable[..., Any], request: dict[str, Any]) -> Any:
        number = len(self.made)
        self.made.append(name)
        if self.die_at == (number, "before"):
            raise Crash
        answer = call(**request)
        if self.die_at == (number, "after"):
            raise Crash
        return answer


class _Counted:
    def __init__(self, client: Any, calls: Calls) -> None:
        self._client = client
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return lambda **request: self._calls.call(name, getattr(self._client, name), request)


class Index:
    """What stands in OpenSearch."""

    def __init__(self) -> None:
        self.standing: dict[str, Position] = {}

    def position_of(
        self,
        transaction_id: str,
        occurred_at: int,  # noqa: ARG002 -- it knows each transaction once, whatever its day
    ) -> Position | None:
        return self.standing.get(transaction_id)


class World:
    """Stream, ledger and bucket that outlive every redriver."""

    def __init__(self, aws: AwsEndpoint) -> None:
        self.name = f"redrive-{uuid.uuid4().hex}"
        self.kinesis = aws.client("kinesis")
        self.dynamodb = aws.client("dynamodb")
        self.shards = _create_stream(self.kinesis, self.name, 2)
        create_ledger_table(self.dynamodb, self.name)
        self.store = MemoryObjectStore()
        self.index = Index()
        self.calls = Calls()
        self.ahead = 0

    def now(self) -> int:
        return time.time_ns() // 1_000 + self.ahead

    def redriver(self, key: bytes = KEY) -> Redriver:
        stop = threading.Event()
        quick = {"wait_seconds_max": 0.001}
        self.calls.made.clear()
        kinesis = self.calls.around(self.kinesis)
        dynamodb = self.calls.around(self.dynamodb)
        places = Places(
            self.store,
            StreamWriter(kinesis, self.name, stop, settle_seconds=0.0, **quick),
            RedriveLedger(dynamodb, self.name, self.name, stop, clock=self.now, **quick),
            self.index,  # type: ignore[arg-type]  # what it is asked for, it answers
        )
        parser = Parser(Pseudonymizer(KEY))
        return Redriver(parser, Fingerprint(key), places, clock=self.now, stop=stop)

    def redrive(self, letter: Letter, correction: Correction = FIX, **choices: Any) -> Outcome:
        return self.redriver().redrive(letter, Choices(correction, **choices))

    def records(self) -> list[tuple[str, bytes]]:
        found = []
        for shard in self.shards:
            iterator = self.kinesis.get_shard_iterator(
                StreamName=self.name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            records = self.kinesis.get_records(ShardIterator=iterator)["Records"]
            found += [(record["PartitionKey"], record["Data"]) for record in records]
        return found


@pytest.fixture
def world(aws: AwsEndpoint) -> World:
    return World(aws)


def letter(number: int = 1, data: bytes | None = None, **fields: Any) -> Letter:
    data = wire(number, total="-5.00", shop="shop-9") if data is None else data
    values: dict[str, Any] = {"reason": "amount_not_positive", "field": "total"}
    return letter_of("m-1", message(rejection(number, data, **values | fields)))


def is_kept(outcome: Outcome, words: str) -> bool:
    return outcome.fate is Fate.KEPT and words in outcome.why


def test_a_corrected_record_goes_onto_the_stream_as_its_shops(world: World) -> None:
    assert world.redrive(letter(), dry_run=True) == Outcome(Fate.READY)
    assert world.records() == []
    assert world.redrive(letter()) == Outcome(Fate.REDRIVEN)
    ((key, data),) = world.records()
    assert key == "shop-9"
    assert json.loads(data) == json.loads(wire(1, total=5, shop="shop-9")) | {"total": 5.0}


def test_redriven_twice_it_counts_once(world: World) -> None:
    world.redrive(letter())
    assert world.redrive(letter()) == Outcome(Fate.ALREADY)
    assert world.redrive(letter(), Correction()) == Outcome(Fate.ALREADY)
    assert is_kept(world.redrive(letter(), Correction(["total=6"])), "other content")
    again = letter(reason="amount_negative")
    assert world.redrive(again) == Outcome(Fate.ALREADY), "another letter about that record"
    assert len(world.records()) == 1


# Calls of one redrive: read the ledger, claim, put, note.
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(4))
def test_whoever_dies_on_the_way_the_record_is_there_once(
    world: World, number: int, when: str
) -> None:
    world.calls.die_at = (number, when)
    with pytest.raises(Crash):
        world.redrive(letter())
    assert len(world.calls.made) == number + 1
    world.calls.die_at = None
    at_once = world.redrive(letter())
    world.ahead += int(CLAIM_SECONDS_MAX * SECOND)
    later = world.redrive(letter())
    assert {at_once.fate, later.fate} <= {Fate.REDRIVEN, Fate.ALREADY, Fate.KEPT}
    assert later.fate is not Fate.KEPT
    assert len(world.records()) == 1


def test_there_are_no_more_calls_than_the_crashes_were_tried_at(world: World) -> None:
    world.redrive(letter())
    assert world.calls.made == ["get_item", "update_item", "put_record", "update_item"]


# Calls of one that comes after a death: read the ledger, look through two shards, note, …
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("first", [2, 1], ids=["it was put", "it was not put"])
@pytest.mark.parametrize("number", range(6))
def test_whoever_dies_while_finding_out_the_record_is_there_once(
    world: World, number: int, first: int, when: str
) -> None:
    world.calls.die_at = (first, "after")
    with pytest.raises(Crash):
        world.redrive(letter())
    for _ in range(2):
        world.ahead += int(CLAIM_SECONDS_MAX * SECOND)
        world.calls.die_at = (number, when)
        try:
            world.redrive(letter())
        except Crash:
            continue
    world.calls.die_at = None
    world.ahead += int(CLAIM_SECONDS_MAX * SECOND)
    assert world.redrive(letter()).fate in {Fate.REDRIVEN, Fate.ALREADY}
    assert len(world.records()) == 1


def test_of_two_at_once_one_puts_it(world: World) -> None:
    outcomes: list[Outcome] = []
    redrivers = [world.redriver() for _ in range(4)]
    start = threading.Barrier(len(redrivers))

    def run(redriver: Redriver) -> None:
        start.wait()
        outcomes.append(redriver.redrive(letter(), Choices(FIX)))

    threads = [threading.Thread(target=run, args=(redriver,)) for redriver in redrivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.fate for outcome in outcomes].count(Fate.REDRIVEN) == 1
    assert len(world.records()) == 1


def test_what_would_be_rejected_again_stays_unless_forced(world: World) -> None:
    assert is_kept(world.redrive(letter(), Correction()), "rejected again: amount_not_positive")
    assert is_kept(world.redrive(letter(), Correction(["total=abc"])), "amount_not_decimal")
    assert world.records() == []
    assert world.redrive(letter(), Correction(), force=True) == Outcome(Fate.REDRIVEN)
    assert world.records() == [("shop-9", wire(1, total="-5.00", shop="shop-9"))]


def test_a_record_is_judged_by_when_it_comes_now(world: World) -> None:
    at = world.now() - DAY
    early = letter(data=wire(1, at=at), reason="occurred_in_future", arrived_at=at - 2 * DAY)
    assert world.redrive(early, Correction()) == Outcome(Fate.REDRIVEN)


def test_a_record_from_a_file_takes_the_place_of_one_that_is_no_json(world: World) -> None:
    broken = letter(data=b'{"total": 1', reason="not_json", field=None)
    assert is_kept(world.redrive(broken), "--record")
    assert world.redrive(broken, Correction(), record=wire(1)) == Outcome(Fate.REDRIVEN)
    assert world.records() == [("shop-1", wire(1))]


def test_a_reused_id_needs_a_new_one(world: World) -> None:
    reused = letter(data=wire(1), stage="deduplicate", reason="transaction_id_reused")
    assert is_kept(world.redrive(reused, Correction()), "--fix transaction_id=")
    assert is_kept(world.redrive(reused, Correction(["total=7"])), "--fix transaction_id=")
    assert world.redrive(reused, Correction(["transaction_id=t-1b"])) == Outcome(Fate.REDRIVEN)


@pytest.mark.parametrize("stage", ["score", "opensearch", "parquet"])
def test_what_was_seen_before_it_was_refused_is_marked(world: World, stage: str) -> None:
    refused = letter(data=wire(1), stage=stage, reason="whatever")
    assert world.redrive(refused, Correction()) == Outcome(Fate.REDRIVEN)
    ((_, data),) = world.records()
    assert json.loads(data) == json.loads(wire(1)) | {"redriven_from": refused.record_id}


def test_what_stands_already_is_not_put_again(world: World) -> None:
    world.index.standing["t-000001"] = position(900)
    assert is_kept(world.redrive(letter()), "stands in OpenSearch already")
    assert is_kept(world.redrive(letter(), dry_run=True), "stands in OpenSearch already")
    assert world.redriver()._places.ledger.entry(letter().record_id) is None
    assert world.redrive(letter(), force=True) == Outcome(Fate.REDRIVEN)


def test_bytes_too_many_for_a_message_come_from_the_bucket(world: World) -> None:
    large = letter_of("m-1", message(rejection(1, wire(1)), "dead-letters/1"))
    assert is_kept(world.redrive(large, Correction()), "no longer in the bucket")
    world.store.put("dead-letters/1", wire(1))
    assert world.redrive(large, Correction()) == Outcome(Fate.REDRIVEN)


def test_what_is_no_letter_stays(world: World) -> None:
    assert is_kept(world.redrive(letter_of("m-1", "hello"), force=True), "no letter")


def test_a_record_too_large_for_the_stream_stays_and_is_not_claimed(world: World) -> None:
    large = letter(data=wire(1, lines=[{"description": "x" * 1_000}] * 1_200))
    assert is_kept(world.redrive(large, Correction()), "the stream refuses a record of")
    assert world.redriver()._places.ledger.entry(large.record_id) is None


def claimed_and_lost(world: World) -> None:
    """Somebody dies behind the claim, and nobody knows whether before or after the put."""
    world.calls.die_at = (2, "before")
    with pytest.raises(Crash):
        world.redrive(letter())
    world.calls.die_at = None


def test_a_claim_that_the_stream_has_outlived_is_not_guessed_at(world: World) -> None:
    claimed_and_lost(world)
    world.ahead += 2 * DAY
    assert is_kept(world.redrive(letter()), "nobody can tell")
    assert world.redrive(letter(), again=True) == Outcome(Fate.REDRIVEN)


def test_a_claim_under_another_key_is_not_guessed_at(world: World) -> None:
    claimed_and_lost(world)
    world.ahead += int(CLAIM_SECONDS_MAX * SECOND)
    other = world.redriver(b"another key for tests").redrive(letter(), Choices(FIX))
    assert is_kept(other, "nobody can tell")
    assert world.redrive(letter()) == Outcome(Fate.REDRIVEN)


def test_a_fresh_claim_is_somebody_at_work(world: World) -> None:
    claimed_and_lost(world)
    assert is_kept(world.redrive(letter()), "somebody is putting it just now")
    assert is_kept(world.redrive(letter(), again=True), "somebody is putting it just now")


def test_a_put_that_does_not_end_in_time_keeps_the_letter_and_the_claim(world: World) -> None:
    redriver = world.redriver()

    def put(key: str, data: bytes, deadline: threading.Event) -> Placed:
        raise Stopped("no answer")

    redriver._places.stream.put = put  # type: ignore[method-assign]
    assert is_kept(redriver.redrive(letter(), Choices(FIX)), "redrive it again in five minutes")
    assert redriver._places.ledger.entry(letter().record_id) is not None


def test_a_stream_that_is_not_there_is_an_error_to_hear_of(world: World) -> None:
    world.kinesis.delete_stream(StreamName=world.name)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        world.redrive(letter())
    assert world.redriver()._places.ledger.entry(letter().record_id) is None
