"""The detection bench: fair to the known ways, apart from what was tuned on, and complete."""

from pathlib import Path

import msgspec
import pytest

from anomaly.detector import DetectorConfig
from benchmarks import detection_known
from benchmarks.detection import BEGIN, END, FIELDS, put_between
from benchmarks.detection_known import hear_all, kept_in
from benchmarks.detection_runs import Heard, hear, judge_detector, pages_at, threshold_for
from benchmarks.detection_streams import (
    SCENES,
    TEST_SEEDS,
    TUNING_SEEDS,
    Spec,
    Stream,
    load,
    specs,
)
from benchmarks.detection_ways import WAYS, Alarm
from consumer.evaluation import Arrivals
from events.instant import DAY, HOUR
from events.transaction import Transaction

START = 20_458 * DAY


@pytest.fixture(scope="module")
def small() -> Stream:
    return load(Spec(99_001, shops=3, days=28, campaigns_per_shop_week=2.0))


def test_no_seed_is_tuned_on_and_reported() -> None:
    tuned = {spec.seed for scene in SCENES for spec in specs(scene, TUNING_SEEDS)}
    reported = [spec.seed for scene in SCENES for spec in specs(scene, TEST_SEEDS)]
    assert len(TEST_SEEDS) >= 10
    assert len(set(reported)) == len(reported)
    assert not tuned & set(reported)


def test_a_stream_holds_each_transaction_once_and_only_labels_that_it_holds(small: Stream) -> None:
    ids = [one.transaction_id for one in small.transactions]
    assert len(set(ids)) == len(ids)
    assert small.labels
    assert {label.transaction_id for label in small.labels} <= set(small.arrivals.refunds)


@pytest.mark.parametrize("name", WAYS)
def test_every_known_way_finds_something_odd(small: Stream, name: str) -> None:
    heard = hear(small, WAYS[name])
    scores = {alarm.score for alarm in heard.alarms}
    assert len(scores) > 20
    assert heard.stream.transactions == []
    threshold = sorted(scores)[-3]
    assert 1 <= len(pages_at(heard.alarms, threshold)) <= len(heard.alarms)


def test_what_the_known_ways_raise_is_kept_for_the_same_stream_alone(
    small: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hear_all(small, tmp_path)
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(detection_known, "hear", None)  # a call would fail: it is read
    again = hear_all(small, tmp_path)
    assert [one.alarms for one in again.values()] == [one.alarms for one in first.values()]
    assert again["LODA, 12 features"].stream.labels == small.labels
    monkeypatch.undo()
    file.write_bytes(file.read_bytes()[:-9])
    assert hear_all(small, tmp_path).keys() == first.keys()
    hear_all(msgspec.structs.replace(small, digest="another"), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_it_is_kept_among_the_user_s_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    assert kept_in() == Path("caches/tillwatch/detection")


def test_alarms_of_a_day_are_one_page() -> None:
    alarms = [
        Alarm(2.0, "s", START, "a", ("a",)),
        Alarm(0.5, "s", START + HOUR, "b", ("b",)),
        Alarm(2.0, "s", START + 2 * HOUR, "c", ("c", "a")),
        Alarm(2.0, "other", START + 2 * HOUR, "d", ("d",)),
        Alarm(3.0, "s", START + DAY, "e", ("e",)),
    ]
    pages = pages_at(alarms, 1.0)
    assert [(page.shop_id, page.after_transaction_id, page.evidence) for page in pages] == [
        ("s", "a", ("a", "c")),
        ("other", "d", ("d",)),
        ("s", "e", ("e",)),
    ]


def test_the_threshold_is_the_lowest_within_the_budget() -> None:
    arrivals = Arrivals()
    arrivals.see(0, Transaction("first", "s", "SALE", START, 0, "GBP", 1))
    alarms = []
    for number in range(10):
        at = START + (14 + 2 * number) * DAY
        arrivals.see(number + 1, Transaction(f"{number}", "s", "REFUND", at, 0, "GBP", 1))
        alarms.append(Alarm(float(number), "s", at, f"{number}", (f"{number}",)))
    heard = [Heard(alarms, Stream([], [], arrivals))]
    weeks = heard[0].judged(99.0).shop_weeks
    assert threshold_for(heard, 3.5 / weeks) == 7.0
    assert threshold_for(heard, 0.0) == float("inf")
    assert threshold_for(heard, 100.0) == 0.0


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_taken_away_is_gone_and_everything_else_is_there(small: Stream, name: str) -> None:
    change = FIELDS[name]
    differing = set()
    for transaction in small.transactions:
        changed = change(transaction)
        for field in transaction.__struct_fields__:
            if getattr(changed, field) != getattr(transaction, field):
                differing.add(field)
                assert getattr(changed, field) in (None, ())
    assert differing
    assert not differing & {"transaction_id", "shop_id", "type", "occurred_at", "total"}


def test_the_detector_is_judged_on_what_it_was_shown(small: Stream) -> None:
    config = DetectorConfig(pages_per_shop_week=2.0)
    judged = judge_detector(small, config)
    assert judged.hits > 0
    assert len(judged.campaigns) == len({label.campaign_id for label in small.labels})
    blind = judge_detector(small, config, lambda one: msgspec.structs.replace(one, type="SALE"))
    assert blind.hits == blind.false_pages == 0


def test_the_tables_go_between_the_marks(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_between(file, "| new |")
    assert file.read_text() == f"before\n{BEGIN}\n\n| new |\n\n{END}\nafter\n"
    file.write_text("no marks")
    with pytest.raises(ValueError, match="has no"):
        put_between(file, "x")
