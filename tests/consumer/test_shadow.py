"""A shadow beside the live worker: where it begins, what it leaves, and its deaths."""

import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from anomaly.detector import DetectorConfig
from anomaly.state import StateError
from consumer import services as services_module
from consumer import shadow_begin
from consumer.candidate import ConfigError, candidate, detector_config
from consumer.checkpoint import Committer
from consumer.daemon import properties
from consumer.duplicates import Duplicates
from consumer.golden import GoldenScores
from consumer.hours import Hours
from consumer.lease import WORKER_VARIABLE
from consumer.lineage import Ancestry, HashRange
from consumer.pipeline import Pipeline
from consumer.rebuild_start import Starts
from consumer.reject_share import RejectShare
from consumer.rotation import Rotation
from consumer.scorer import Scorer
from consumer.services import Services
from consumer.settings import Settings, SettingsError
from consumer.shadow_begin import Beginning, begin
from consumer.shadow_services import Nowhere
from consumer.shard import Parts
from consumer.snapshots import Restored, Snapshots
from events.instant import HOUR, from_datetime
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from sinks.memory import MemoryFence
from sinks.shadow_pages import Begun, ShadowPages
from tests.consumer.world import (
    APPLICATION,
    KEY_GROUPS,
    SHARD,
    Crash,
    PromptOutbox,
    World,
    as_records,
    day_of_trade,
    run_through,
)

DATA = day_of_trade(360)
HALF = 200
NAME = "bold"
BOLD = DetectorConfig(key_groups=KEY_GROUPS, pages_per_shop_week=50.0)


class Orphan:
    """A Lineage of shards without parents."""

    def of(self, shard_id: str) -> Ancestry:
        assert shard_id == SHARD
        return Ancestry(HashRange())


@dataclass
class ShadowWorld(World):
    """A shadow that lives in the bucket of the world `live`."""

    live: World = field(default_factory=World)
    config: DetectorConfig = BOLD

    def __post_init__(self) -> None:
        self.store = self.live.store
        self.fence = MemoryFence()

    def own(self) -> Snapshots:
        golden = GoldenScores(KEY_GROUPS)
        return Snapshots(
            self.store, self.fence, f"{APPLICATION}-shadow-{NAME}", SHARD, KEY_GROUPS, golden
        )

    def worker(self, name: str = "worker-1") -> Parts:
        stop, snapshots, sink = threading.Event(), self.own(), ShadowPages(self.store, NAME)
        snapshots.take(self.leases.of(name))
        if self.checkpoint is not None:
            start = Beginning(snapshots.load(self.checkpoint.slug))
        else:
            starts = Starts(self.store, self.live.snapshots(), Orphan(), KEY_GROUPS)
            start = begin(SHARD, snapshots, starts, sink.beginnings, self.config)
        noted = sink.beginnings.find(SHARD)
        sink.begins_with_nothing = noted is not None and noted.at is None
        return self._parts(start, snapshots, sink, stop)

    def _parts(
        self, start: Beginning, snapshots: Snapshots, sink: ShadowPages, stop: threading.Event
    ) -> Parts:
        restored: Restored = start.restored
        state, nowhere = restored.state, Nowhere()
        duplicates = Duplicates(200)
        duplicates.restore(state.duplicates)
        committer = Committer(
            [sink],
            nowhere,
            nowhere,
            snapshots,
            Hours(SHARD, self.lateness, state.hours),
            PromptOutbox(nowhere.send, stop, state.pages),
            state,
            self.config.model_version(),
            stop=stop,
            reject_share=RejectShare(1.0, state.rejects),
        )
        pipeline = Pipeline(
            Parser(Pseudonymizer(b"a key for tests only")).parse,
            Scorer(self.config, state.shops, state.groups),
            duplicates,
            key_groups=KEY_GROUPS,
            batch_records_max=self.batch_records_max,
            batch_bytes_max=2**20,
            lateness=self.lateness,
            watermark=state.hours.watermark,
            rotation=Rotation(state.shops, restored.slices),
            after=self.checkpoint,
        )
        pipeline.skip(start.position)
        return Parts(pipeline, committer, has_open_hours=lambda: False)

    def states(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Every state of a page that lies in the shadow's lake, each once."""
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for key in self.store.keys(f"shadow/{NAME}/pages/"):
            for row in pq.read_table(io.BytesIO(self.store.get(key))).to_pylist():
                del row["sequence_number"]  # of the batch, which deaths cut otherwise
                before = found.setdefault((row["page_id"], row["revision"]), row)
                assert before == row
        return found


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


class _Deadly:
    """A store that ends the process at its n-th put, before or after it is done."""

    def __init__(self, world: ShadowWorld, at: int, *, before: bool) -> None:
        self._left, self._before, self._put = at, before, world.store.put
        self._accept = world.accept
        world.store.put = self.put  # type: ignore[method-assign]
        world.accept = self.accept  # type: ignore[method-assign]
        self._world = world

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Crash

    def _around(self, call: Callable[..., None], *what: object) -> None:
        if self._before:
            self._step()
        call(*what)
        if not self._before:
            self._step()

    def put(self, key: str, body: bytes) -> None:
        self._around(self._put, key, body)

    def accept(self, position: Position | None) -> None:
        self._around(self._accept, position)

    def disarm(self) -> None:
        self._world.store.put = self._put  # type: ignore[method-assign]
        self._world.accept = self._accept  # type: ignore[method-assign]


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
        deadly = _Deadly(world, at, before=before)
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
    own = (f"shadow/{NAME}/", f"snapshots/{APPLICATION}-shadow-{NAME}/")
    assert [key for key in world.store.keys("") if not key.startswith(own)] == []
    assert world.index.transactions == {}
    assert world.letters.rejections == {}
    assert world.mailbox.sent == []


def test_it_begins_on_the_live_workers_state_and_goes_on_as_that_did() -> None:
    live = live_world()
    before = dict.fromkeys(live.store.keys(""))
    shadow = ShadowWorld(live=live, config=DetectorConfig(key_groups=KEY_GROUPS))
    run_through(shadow, DATA)
    begun = ShadowPages(live.store, NAME).beginnings.find(SHARD)
    assert begun is not None
    assert begun.position is not None
    assert begun.at is not None
    at = int(begun.position.partition("-")[0])
    assert 0 < at < len(DATA)
    behind = World()
    cut_at(behind, at)
    known = set(behind.pages())
    assert set(shadow.states()) == {state for state in live.pages() if state not in known}
    assert set(shadow.states()) != set(live.pages())
    assert dict.fromkeys(key for key in live.store.keys("") if "shadow" not in key) == before


def cut_at(world: World, count: int) -> None:
    """Everything up to `count`, committed."""
    parts, records = world.worker(), iter(as_records(DATA[:count]))
    while True:
        parts.pipeline.take(records)
        if parts.pipeline.empty:
            return
        parts.committer.commit(parts.pipeline.cut(0), world.accept)


def test_once_begun_it_stays_where_it_began_whatever_history_comes_then() -> None:
    live = World(history_period=HOUR, history_kept=1_000 * HOUR)
    cut_at(live, HALF)
    shadow = ShadowWorld(live=live)
    deadly = _Deadly(shadow, 4, before=True)  # behind the beginning, before the first checkpoint
    with pytest.raises(Crash):
        run_through(shadow, DATA)
    deadly.disarm()
    assert shadow.checkpoint is None
    note = ShadowPages(live.store, NAME).beginnings.find(SHARD)
    assert note is not None
    parts, records = live.worker(), iter(as_records(DATA)[HALF:])
    parts.pipeline.take(records)
    parts.committer.commit(parts.pipeline.cut(0), live.accept)
    assert len(live.snapshots()._history.generations()) > 1  # type: ignore[union-attr]
    run_through(shadow, DATA)
    assert ShadowPages(live.store, NAME).beginnings.find(SHARD) == note


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
    assert ShadowPages(live.store, NAME).beginnings.every() == [Begun(at=first)]


def test_a_batch_is_prepared_without_a_trace_and_written_with_one() -> None:
    world = ShadowWorld()
    sink = ShadowPages(world.store, NAME)
    sink.begins_with_nothing = True
    parts = world.worker()
    parts.pipeline.take(iter(as_records(DATA[:20])))
    batch = parts.pipeline.cut(0).batch
    sink.prepare(batch)  # of a batch that is narrowed, or never committed
    prepared = sink.prepare(batch)
    assert sink.beginnings.find(SHARD) == Begun()
    prepared.write()
    assert sink.beginnings.find(SHARD) == Begun(at=batch.scored[0].transaction.occurred_at)
    assert not sink.begins_with_nothing


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
