"""A shadow beside the live worker: where it begins, what it leaves, and its deaths."""

import json
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from anomaly.detector import DetectorConfig
from anomaly.state import StateError
from consumer import services as services_module
from consumer import shadow_begin
from consumer.candidate import ConfigError, candidate, detector_config
from consumer.daemon import properties
from consumer.lease import WORKER_VARIABLE
from consumer.lineage import HashRange
from consumer.services import Services
from consumer.settings import Settings, SettingsError
from events.instant import HOUR, MINUTE, from_datetime
from events.key_group import hash_key
from events.position import Position
from events.record import Record
from sinks.shadow_notes import (
    Begun,
    Notes,
)
from sinks.shadow_pages import ShadowPages
from tests.consumer.shadow_world import DATA, FOLDER, NAME, Family, ShadowWorld, may_die
from tests.consumer.world import (
    APPLICATION,
    KEY_GROUPS,
    SHARD,
    START,
    Crash,
    World,
    as_records,
    deliver,
    run_through,
    wire,
)

HALF = 200


def live_world(**more: Any) -> World:
    """A live worker that has gone through it all, keeping history."""
    world = World(history_period=HOUR, history_kept=1_000 * HOUR, **more)
    run_through(world, DATA)
    return world


@pytest.fixture(scope="module")
def alone() -> dict[tuple[str, int], dict[str, Any]]:
    """The pages of the candidate from the stream's beginning, nothing having happened."""
    world = ShadowWorld()
    run_through(world, DATA)
    assert world.states()
    return world.states()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    deaths=st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=4),
    batch_records_max=st.sampled_from([20, 50, 130]),
)
def test_killed_at_any_put_or_checkpoint_its_pages_are_the_same(
    alone: dict[tuple[str, int], dict[str, Any]],
    deaths: list[tuple[int, bool]],
    batch_records_max: int,
) -> None:
    world = ShadowWorld(batch_records_max=batch_records_max)
    for at, before in deaths:
        deadly = may_die(world, at, before=before)
        try:
            if not world.ended:
                run_through(world, DATA)
        except Crash:
            pass
        finally:
            deadly.disarm()
    if not world.ended:
        run_through(world, DATA)
    assert world.states() == alone


def test_what_is_checkpointed_stands_in_its_lake_already() -> None:
    world = ShadowWorld(batch_records_max=20)
    parts, records, paged = world.worker(), iter(as_records(DATA)), 0

    def accept(position: Position | None) -> None:
        assert position is not None
        assert set(world.states()) >= {(page.page_id, page.revision) for page in cut.batch.pages}

    while True:
        parts.pipeline.take(records)
        if parts.pipeline.empty:
            break
        cut = parts.pipeline.cut(0)
        paged += len(cut.batch.pages)
        parts.committer.commit(cut, accept)
    assert paged


def test_it_leaves_its_pages_and_snapshots_and_no_other_object() -> None:
    world = ShadowWorld()
    run_through(world, DATA)
    own = (FOLDER, f"snapshots/{APPLICATION}-shadow-{NAME}/")
    assert [key for key in world.store.keys("") if not key.startswith(own)] == []
    assert world.index.transactions == {}
    assert world.letters.rejections == {}
    assert world.mailbox.sent == []


def test_it_begins_on_the_live_workers_state_and_goes_on_as_that_did() -> None:
    live = live_world()
    before = dict.fromkeys(live.store.keys(""))
    shadow = ShadowWorld(live=live, config=DetectorConfig(key_groups=KEY_GROUPS))
    run_through(shadow, DATA)
    begun = Notes(live.store, FOLDER).begun(SHARD)
    assert begun is not None
    assert begun.position is not None
    assert begun.at is not None
    at = int(begun.position.partition("-")[0])
    assert 0 < at < len(DATA)
    behind = World()
    deliver(behind, as_records(DATA[:at]))
    known = set(behind.pages())
    assert set(shadow.states()) == {state for state in live.pages() if state not in known}
    assert set(shadow.states()) != set(live.pages())
    assert dict.fromkeys(key for key in live.store.keys("") if "shadow" not in key) == before


def test_once_begun_it_stays_where_it_began_whatever_history_comes_then() -> None:
    live = World(history_period=HOUR, history_kept=1_000 * HOUR)
    deliver(live, as_records(DATA[:HALF]))
    shadow = ShadowWorld(live=live)
    deadly = may_die(shadow, 4, before=True)  # behind the beginning, before the first checkpoint
    with pytest.raises(Crash):
        run_through(shadow, DATA)
    deadly.disarm()
    assert shadow.checkpoint is None
    note = Notes(live.store, FOLDER).begun(SHARD)
    assert note is not None
    parts, records = live.worker(), iter(as_records(DATA)[HALF:])
    parts.pipeline.take(records)
    parts.committer.commit(parts.pipeline.cut(0), live.accept)
    assert len(live.snapshots()._history.generations()) > 1  # type: ignore[union-attr]
    run_through(shadow, DATA)
    assert Notes(live.store, FOLDER).begun(SHARD) == note
    assert shadow.noted().holes == ()


def of_another_seed(*_: object) -> None:
    raise StateError("the forest that was kept scores its probes otherwise")


@pytest.mark.parametrize("torn", [True, False])
def test_a_state_that_the_candidate_cannot_use_is_nothing_to_begin_on(
    monkeypatch: pytest.MonkeyPatch, *, torn: bool, alone: dict[tuple[str, int], dict[str, Any]]
) -> None:
    live = live_world()
    if torn:
        for key in live.store.keys("history/"):
            live.store.put(key, live.store.get(key)[:-1])
    else:
        monkeypatch.setattr(shadow_begin, "Scorer", of_another_seed)
    shadow = ShadowWorld(live=live)
    run_through(shadow, DATA)
    assert shadow.states() == alone
    first = from_datetime(datetime.fromisoformat(json.loads(DATA[0])["occurred_at"]))
    assert shadow.noted().begun == (Begun(at=first, first="1-0"),)
    assert shadow.noted().holes == ()


def test_a_batch_is_prepared_without_a_trace_and_written_with_one() -> None:
    world = ShadowWorld()
    sink = ShadowPages(world.store, FOLDER)
    sink.begins_with_nothing = True
    parts = world.worker()
    parts.pipeline.take(iter(as_records(DATA[:20])))
    batch = parts.pipeline.cut(0).batch
    sink.prepare(batch)  # of a batch that is narrowed, or never committed
    prepared = sink.prepare(batch)
    assert sink.notes.begun(SHARD) == Begun()
    prepared.write()
    at = batch.scored[0].transaction.occurred_at
    assert sink.notes.begun(SHARD) == Begun(at=at, first="1-0")
    assert not sink.begins_with_nothing


# -- resharding -----------------------------------------------------------------------------------

EDGE = 2**128 // KEY_GROUPS
"""The first hash key of the second key group."""


def test_a_split_and_a_merge_leave_the_pages_of_one_process() -> None:
    """At the edge of key groups: no score changes there, whoever holds the shops."""
    # Of the shops of DATA one in the first key group, which has none of them; and more to tell.
    data = [body.replace(b"shop-2", b"shop-6") for body in DATA]
    for number in range(60, 360, 20):
        shop = ("shop-0", "shop-1", "shop-6")[number % 3]
        at = START + number * MINUTE
        data[number] = wire(number, shop=shop, kind="REFUND", at=at, total="9000.00")
    records = as_records(data)
    whole = ShadowWorld()
    deliver(whole, records, end=records[-1].position)
    family = Family({"low": {SHARD: HashRange()}, "high": {SHARD: HashRange()}})
    family.ranges = {"low": HashRange(0, EDGE - 1), "high": HashRange(EDGE)}
    family.parents["one"] = dict(family.ranges)
    parent = ShadowWorld(family=family)

    def child(shard_id: str, some: Sequence[Record]) -> ShadowWorld:
        made = ShadowWorld(live=parent.live, family=family, shard_id=shard_id)
        made.fence = parent.fence
        theirs = [
            msgspec.structs.replace(
                record, position=Position(shard_id, record.position.sequence_number)
            )
            for record in some
            if hash_key(shop_of(record)) in family.of(shard_id).own
        ]
        deliver(made, theirs, end=theirs[-1].position)
        return made

    deliver(parent, records[:140], end=records[139].position)
    child("low", records[140:240])
    child("high", records[140:240])
    last = child("one", records[240:])
    tellers = {row["shard_id"] for row in last.states().values()}
    assert tellers == {SHARD, "low", "high", "one"}
    assert without_shards(last) == without_shards(whole)
    (begun,) = last.noted().begun  # children go on from their parents, and have none
    assert begun.first == "1-0"
    assert last.noted().holes == ()


def without_shards(world: ShadowWorld) -> dict[tuple[str, int], dict[str, Any]]:
    return {key: row | {"shard_id": ""} for key, row in world.states().items()}


def shop_of(record: Record) -> str:
    try:
        return str(json.loads(record.data)["shop_id"])
    except ValueError:
        return "shop-0"


# -- settings, and the services that they give -----------------------------------------------------


def chosen(**more: Any) -> Settings:
    plain = {
        "stream": "tills",
        "aws_endpoint": "http://127.0.0.1:9",
        "opensearch_url": "http://127.0.0.1:9",
        "bucket": "lake",
        "topic_arn": "arn:aws:sns:eu-west-1:1:pages",
        "dead_letter_queue_url": "http://127.0.0.1:9/letters",
        "pseudonym_key": "correct horse battery staple",
        "archive_key": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    }
    return Settings.model_validate(plain | more)


def test_a_shadow_is_an_application_of_its_own() -> None:
    assert chosen().own_application == "tillwatch"
    assert chosen(shadow="").own_application == "tillwatch"
    shadow = chosen(shadow="bold")
    assert shadow.own_application == shadow.shadow_of("bold") == "tillwatch-shadow-bold"
    assert shadow.application == "tillwatch"
    assert "applicationName = tillwatch-shadow-bold" in properties(shadow, "child", "worker")
    for wrong in ("Bold", "a/b", "-a", "a" * 33, "a\n"):
        with pytest.raises(ValidationError):
            chosen(shadow=wrong)


def test_it_has_no_client_of_what_a_live_worker_writes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv(WORKER_VARIABLE, "worker")
    made: list[str] = []
    real = services_module.aws_client

    def noted(settings: Settings, service: str, *rest: Any) -> Any:
        made.append(service)
        return real(settings, service, *rest)

    monkeypatch.setattr(services_module, "aws_client", noted)
    monkeypatch.setattr(services_module, "search_client", lambda _: pytest.fail("OpenSearch"))
    services = Services(chosen(shadow="bold"), threading.Event())
    assert sorted(made) == ["dynamodb", "kinesis", "s3"]
    assert [sink.name for sink in services.sinks] == ["shadow"]


def test_the_detectors_file_counts_over_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "candidate.json"
    file.write_text('{"pages_per_shop_week": 2, "without": ["cashier"]}')
    found = detector_config(chosen(detector_file=file, pages_per_shop_week=0.5))
    assert found == DetectorConfig(pages_per_shop_week=2.0, without=("cashier",))
    file.write_text('{"key_groups": 7}')
    with pytest.raises(SettingsError, match="7 key groups"):
        detector_config(chosen(detector_file=file))
    with pytest.raises(ValidationError):
        chosen(detector_file=tmp_path / "not-there.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "is no configuration"),
        ('{"pages": 1}', "the detector has no pages; it has key_groups"),
        ('{"pages_per_shop_week": "many"}', "is no configuration"),
        ('{"pages_per_shop_week": 0}', "more than 0"),
        ('{"without": ["luck"]}', "no evidence luck"),
    ],
)
def test_what_is_no_configuration_is_told(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "candidate.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        candidate(file, DetectorConfig())
