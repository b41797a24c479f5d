"""What a shadow gains and loses, over what both have seen; and what its end takes away."""

import json
import threading
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from consumer.lake import Lake, open_lake
from consumer.lease_table import LeaseRow, LeaseTable, Unheld
from consumer.shadow_command import shadow
from consumer.shadow_end import Ending
from consumer.shadow_report import ShadowReport, as_html, as_json, as_text, make_shadow_report
from consumer.shadow_seen import LOOKS_MAX, Seen, Stand, seen, stands
from consumer.shadow_told import ToldPage, findings_in, pages_in
from consumer.snapshot import SHARD_END, SnapshotError
from events.instant import DAY, HOUR, MINUTE, Instant
from events.page import Page
from events.verdict import Verdict
from local.aws import AwsEndpoint
from local.provision import provision, provision_shadow
from sinks.directory import DirectoryObjectStore
from sinks.dynamodb_fence import DynamoFence
from sinks.fence import FencedOff
from sinks.memory import MemoryObjectStore
from sinks.parquet import ParquetSink
from sinks.shadow_notes import Begun, Failure, Hole, Noted, Notes, folder_of
from sinks.shadow_pages import ShadowPages
from tests.consumer.test_report import told
from tests.consumer.world import SHARD, World, day_of_trade, run_through
from tests.sinks.made import NOON, batch, page, scored

START: Instant = 20_458 * DAY
LATENESS = 15 * MINUTE
FOLDER = folder_of("tillwatch", "bold")


# -- the stretch ---------------------------------------------------------------------------------


def test_both_have_seen_what_the_one_behind_has_less_the_lateness() -> None:
    live = {"a": Stand("9-0", START + 5 * HOUR), "b": Stand("7-0", START + 3 * HOUR)}
    beside = {"a": Stand("4-0", START + 2 * HOUR), "b": Stand("7-0", START + 3 * HOUR)}
    begun = [Begun("1-0", START), Begun(at=START + HOUR), Begun()]
    found = seen(live, beside, begun, [], LATENESS, 30 * DAY)
    assert found == Seen(START + HOUR, {"a": START + 2 * HOUR - LATENESS, "b": START + 3 * HOUR})
    assert found.end == START + 3 * HOUR
    assert found.holds("a", START + HOUR)
    assert not found.holds("a", START + 2 * HOUR)
    assert found.holds("b", START + 2 * HOUR)
    assert not found.holds("b", START + HOUR - 1)
    assert found.holds("long-ended", START + 9 * HOUR)


def test_behind_a_hole_the_stretch_begins_anew() -> None:
    both = {"a": Stand("9-0", START + 5 * HOUR)}
    holes = [
        Hole("a", "3-0", "5-0", START + HOUR, START + 3 * HOUR),
        Hole("a", "1-0", "2-0", START, START + HOUR),
        Hole("a", "7-0", "8-0"),
    ]
    found = seen(both, both, [Begun("1-0", START)], holes, LATENESS, 30 * DAY)
    assert found == Seen(START + 3 * HOUR, {"a": START + 5 * HOUR})


def test_a_shard_that_one_has_not_come_to_is_left_out() -> None:
    live = {"a": Stand("9-0", START), "b": Stand("9-0", START)}
    found = seen(live, {"a": Stand("9-0", None)}, [], [], LATENESS, DAY)
    assert found == Seen(START - DAY, {"a": None, "b": None})
    assert found.end is None
    assert not found.holds("a", START - HOUR)


@pytest.mark.parametrize("begun", [[Begun("1-0", START)], [Begun()], []])
def test_what_is_deleted_of_a_shadow_by_now_was_not_left_out_by_it(begun: list[Begun]) -> None:
    """S3 takes its pages and notes away after the retention; live pages may be kept longer."""
    live, beside = (Stand("9-0", START + days * DAY) for days in (40, 39))
    found = seen({"a": live}, {"a": beside}, begun, [], LATENESS, 30 * DAY)
    assert not found.holds("a", START + 10 * DAY - 1)
    assert found.holds("a", START + 10 * DAY)


def test_who_asks_may_ask_for_less_of_it_and_not_for_more() -> None:
    whole = Seen(START, {"a": START + 5 * HOUR, "b": None})
    part = whole.within(START + HOUR, START + 2 * HOUR)
    assert part == Seen(START + HOUR, {"a": START + 2 * HOUR, "b": None})
    assert whole.within(START - DAY, START + DAY) == whole


class Rows:
    """A lease table of one row, which moves when it is looked up again."""

    def __init__(self, *checkpoints: str | None) -> None:
        self._left = [LeaseRow(SHARD, checkpoint=one) for one in checkpoints]

    def rows(self) -> list[LeaseRow]:
        return [self.row(SHARD)]

    def row(self, shard_id: str) -> LeaseRow:
        assert shard_id == SHARD
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]


def test_where_an_application_stands_is_in_the_snapshot_of_its_checkpoint() -> None:
    world = World(batch_records_max=50)
    run_through(world, day_of_trade(120))
    table: Any = Rows("1-0", SHARD_END)  # it moved on between the two looks
    (stand,) = stands(table, world.fence, world.store).values()
    assert stand.checkpoint == SHARD_END
    assert stand.watermark is not None
    assert stand.model_version == world.config.model_version()
    for nothing in (Rows(None), Rows("1-0", None)):
        table = nothing
        assert stands(table, world.fence, world.store) == {}
    table = Rows(*["1-0"] * (LOOKS_MAX + 1))
    with pytest.raises(SnapshotError, match=SHARD):
        stands(table, world.fence, world.store)


# -- the report ----------------------------------------------------------------------------------


NOTED = Noted(configs={"m-2": '{"pages_per_shop_week":0.05}'})


def made(
    live: list[ToldPage], beside: list[ToldPage], findings: dict[str, str], **more: Any
) -> ShadowReport:
    within = more.pop("within", Seen(START, {"a": START + DAY}))
    noted = more.pop("noted", NOTED)
    return make_shadow_report("bold", within, live, beside, findings, noted, ["m-2"])


def one(name: str, *evidence: str, version: str = "m-1", **fields: Any) -> ToldPage:
    return ToldPage(told(name, evidence=evidence, **fields), "a", version)


LIVE = [
    one("p-kept", "t-1", "t-2"),
    one("p-lost-1", "t-3", refunded="20.00", reason="card", shop="shop-2"),
    one("p-lost-2", "t-4", refunded="5.50", currency="EUR"),
    one("p-before", "t-5", at=START - 1),
    one("p-later", "t-6", at=START + DAY),
]
SHADOW = [
    one("q-kept", "t-2", "t-9", version="m-2"),
    one("q-gained", "t-10", refunded="7.00", reason="cashier", version="m-2"),
    one("q-before", "t-11", at=START - 1, version="m-2"),
    one("q-later", "t-6", at=START + DAY + 1, version="m-2"),
]
FINDINGS = {"p-lost-1": "fraud", "p-lost-2": "ok", "p-kept": "fraud", "p-before": "policy"}


def test_pages_are_kept_gained_and_lost_within_the_stretch() -> None:
    report = made(LIVE, SHADOW, FINDINGS)
    both = report.comparison
    assert [page.page_id for page in both.kept] == ["q-kept"]
    assert [page.page_id for page in both.gained] == ["q-gained"]
    assert [page.page_id for page in both.lost] == ["p-lost-1", "p-lost-2"]
    assert len(report.live) == 4
    assert len(report.shadow) == 2
    assert report.findings == {name: FINDINGS[name] for name in FINDINGS if name != "p-before"}


def test_a_page_that_the_other_opened_outside_the_stretch_is_none_that_is_lost() -> None:
    report = made(LIVE, SHADOW, FINDINGS)
    assert "p-later" in [page.page_id for page in report.live]
    assert "p-later" not in [page.page_id for page in report.comparison.lost]


def test_the_report_says_shop_reason_money_and_what_people_found() -> None:
    report = made(LIVE, SHADOW, FINDINGS)
    text = as_text(report)
    assert "Of the 2 lost pages people judged 2: 1 fraud, 1 ok." in text
    assert "Of the 2 others people judged 1: 1 fraud." in text
    assert "| shop-2 | card | 1 | 20.00 GBP |" in text
    assert "| shop-1 | volume | 1 | 5.50 EUR |" in text
    assert "| shop-1 | cashier | 1 | 7.00 GBP |" in text
    assert "2 lost, 20.00 GBP and 5.50 EUR" in text
    assert "pages\\_per\\_shop\\_week" in text
    html = as_html(report)
    assert "<h2>Every page lost</h2>" in html
    assert "Of the 2 lost pages people judged 2" in html
    line = json.loads(as_json(report))
    assert line["money"]["lost"] == {"GBP": "20.00", "EUR": "5.50"}
    assert line["lost_found"] == {"fraud": 1, "ok": 1}
    assert [page.get("finding") for page in line["lost"]] == ["fraud", "ok"]
    assert line["to"] == {"a": "2026-01-06T00:00:00.000Z"}


def test_what_makes_it_worth_less_is_said() -> None:
    mixed = [*SHADOW, one("q-more", "t-12", version="m-3")]
    behind = Seen(START, {"a": START + DAY, "b": None})
    text = as_text(made(LIVE, mixed, {}, within=behind))
    assert "DO NOT PROMOTE" in text
    assert "(4 of m-2, 1 of m-3)" in text
    assert "The shadow runs as m-2." in text
    assert "configurations" not in as_text(made(LIVE, SHADOW, {}))
    assert "left out: b." in text
    assert "Of the 2 lost pages people judged none." in text
    assert "model version" in as_text(made([one("p", "t-1", version="m-2")], SHADOW, {}))
    assert "no stretch yet" in as_text(made(LIVE, SHADOW, {}, within=Seen(None, {"a": None})))


def test_holes_and_failures_are_told() -> None:
    noted = msgspec.structs.replace(
        NOTED,
        holes=(Hole("a", "3-0", "5-0", START, START + HOUR), Hole("b", "6-0", "7-0")),
        failed=1_234,
        failures=(
            Failure("a", "4-0", "scoring_failed", "KeyError: 'x' (shop.py:7)", "shop-1", "m-2"),
            Failure("b", "9-1", "scoring_failed", "ValueError: of ann@example.com"),
        ),
    )
    report = made(LIVE, SHADOW, {}, noted=noted)
    for text in (as_text(report).replace("\\", ""), as_html(report)):
        assert "a it is not known that the shadow saw what came behind 3-0" in text
        assert "(2026-01-05 00:00:00) and before 5-0 (2026-01-05 01:00:00)" in text
        assert "behind 6-0 (no time known)" in text
        assert "failed at 1,234 transactions" in text
        assert "a/4-0" in text
        assert "b/9-1" in text
        assert "ann@example.com" not in text
    line = json.loads(as_json(report))
    assert line["model_versions"] == ["m-2"]
    assert line["pages_of"] == {"m-2": 4}
    assert line["holes"][0] == {
        "shard_id": "a",
        "after": "3-0",
        "first": "5-0",
        "from": "2026-01-05T00:00:00.000Z",
        "to": "2026-01-05T01:00:00.000Z",
    }
    assert line["holes"][1]["to"] is None
    assert line["failed"] == 1_234
    assert line["failures"][0]["detail"] == "KeyError: 'x' (shop.py:7)"
    assert "ann@example.com" not in json.dumps(line)


def test_what_the_shadow_ran_with_before_is_told_where_no_page_is_left_of_it() -> None:
    noted = Noted(configs=NOTED.configs | {"m-1": "{}"})
    text = as_text(made(LIVE, SHADOW, {}, noted=noted)).replace("\\", "")
    assert "(4 of m-2, 0 of m-1)" in text
    assert "The candidate m-1: {}" in text


# -- the lakes -----------------------------------------------------------------------------------


def lake(folder: Path) -> Lake:
    return open_lake(str(folder), application="tillwatch", zone="shop")


def write(folder: Path, *pages: Page, verdicts: tuple[Verdict, ...] = ()) -> None:
    store = DirectoryObjectStore(folder)
    some = msgspec.structs.replace(batch(scored(1)), pages=pages, verdicts=verdicts)
    ParquetSink(store).write(some)
    ShadowPages(store, FOLDER).write(some)


def test_a_page_is_its_last_state_with_the_evidence_of_all(tmp_path: Path) -> None:
    first = page(evidence=("t-1", "t-2"), refunded_total=1_000)
    second = page(1, "updated", evidence=("t-3", "t-2"), refunded_total=2_550)
    write(tmp_path, first, second)
    write(tmp_path, first, second)
    for where in (tmp_path, tmp_path / FOLDER):
        (found,) = pages_in(lake(where))
        assert found.told.evidence == ("t-3", "t-2", "t-1")
        assert str(found.told.refunded) == "25.50"
        assert (found.told.opened_at, found.shard_id) == (NOON, "shardId-000000000007")


def test_a_page_that_a_rule_kept_back_throughout_is_none(tmp_path: Path) -> None:
    write(
        tmp_path,
        page(page_id="p-1", suppressed_by="s-1"),
        page(1, "closed", page_id="p-1"),
        page(page_id="p-2", suppressed_by="s-1"),
        page(1, "updated", page_id="p-2"),
    )
    assert [found.told.page_id for found in pages_in(lake(tmp_path))] == ["p-2"]


def test_the_last_verdict_counts_and_a_shadow_keeps_none(tmp_path: Path) -> None:
    verdict = Verdict("p-1", "shop-001", "volume", "fraud", NOON + HOUR)
    earlier = msgspec.structs.replace(verdict, finding="ok", given_at=NOON)
    write(tmp_path, page(), verdicts=(verdict, earlier))
    assert findings_in(lake(tmp_path)) == {"p-1": "fraud"}
    assert findings_in(lake(tmp_path / FOLDER)) == {}


# -- its end -------------------------------------------------------------------------------------


def test_the_end_of_a_shadow_takes_everything_of_it_and_nothing_else(aws: AwsEndpoint) -> None:
    live = provision(aws, name=f"ending-{uuid.uuid4()}", shards=1)
    beside = provision_shadow(aws, live, "bold")
    client, stop, store = aws.client("dynamodb"), threading.Event(), MemoryObjectStore()
    fences = [
        DynamoFence(client, live.ledger_table, name.application, stop) for name in (live, beside)
    ]
    (shard,) = live.shards
    for fence in fences:
        fence.advance(shard)
    folder = folder_of(live.application, "bold")
    Notes(store, folder).note_begun(shard, Begun())
    for key in (
        f"{folder}pages/date=2026-01-05/{shard}.parquet",
        "shadow/another/bold/begun/x.json",
        f"snapshots/{beside.application}/{shard}/1-0.1.0",
        f"snapshots/{live.application}/{shard}/1-0.1.0",
        f"{folder[:-1]}er/begun/x.json",
        "pages/date=2026-01-05/x.parquet",
    ):
        store.put(key, b"x")

    class Held:
        def require(self, shard_id: str) -> None:
            raise FencedOff(shard_id)

    def ending(lease: Any) -> Ending:
        table = LeaseTable(client, beside.application, stop)
        return Ending(
            folder, beside.application, client, table, lease or Unheld(table.row, stop),
            fences[1], store, store,
        )  # fmt: skip

    before = store.keys("")
    with pytest.raises(FencedOff):
        ending(Held()).run(pytest.fail)
    assert store.keys("") == before
    lines: list[str] = []
    ending(None).run(lines.append)
    assert f"the table {beside.application}" in lines
    assert store.keys("") == [
        "pages/date=2026-01-05/x.parquet",
        "shadow/another/bold/begun/x.json",
        f"{folder[:-1]}er/begun/x.json",
        f"snapshots/{live.application}/{shard}/1-0.1.0",
    ]
    assert fences[0].look(shard).epoch == 1
    assert fences[1].look(shard).epoch == 0
    tables = client.list_tables()["TableNames"]
    assert live.application in tables
    assert beside.application not in tables
    ending(Held()).run(lines.append)  # nothing is left to do, and that is no error


def test_a_shadow_that_never_ran_is_told_in_words(
    aws: AwsEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = provision(aws, name=f"never-{uuid.uuid4()}", shards=1)
    environment = {
        **aws.environment(),
        "TILLWATCH_APPLICATION": live.application,
        "TILLWATCH_STREAM": live.stream,
        "TILLWATCH_AWS_ENDPOINT": aws.url,
        "TILLWATCH_OPENSEARCH_URL": "http://127.0.0.1:9",
        "TILLWATCH_BUCKET": live.bucket,
        "TILLWATCH_TOPIC_ARN": live.topic_arn,
        "TILLWATCH_DEAD_LETTER_QUEUE_URL": live.dead_letter_queue_url,
        "TILLWATCH_LEDGER_TABLE": live.ledger_table,
        "TILLWATCH_PSEUDONYM_KEY": "correct horse battery staple",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = CliRunner().invoke(shadow, ["report", "--name", "bold"])
    assert found.exit_code == 1
    assert "no worker has run as the shadow bold" in found.output


@pytest.mark.parametrize("command", ["report", "end"])
def test_a_name_that_is_none_is_refused(command: str) -> None:
    found = CliRunner().invoke(shadow, [command, "--name", "../pages"])
    assert found.exit_code == 2
    assert "small letters" in found.output
