"""Streams of another hand: whole, labelled, with everything in them that they are made to have."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from anomaly.detector import DetectorConfig
from benchmarks import stranger_frauds, stranger_occasions
from benchmarks.detection import put_between
from benchmarks.detection_runs import detect, facts_of
from benchmarks.stranger import BEGIN, DOCUMENT, END, Done, tables
from benchmarks.stranger_causes import CAUSES, FalsePage, false_pages
from benchmarks.stranger_chain import CHAINS, Draw, Occasion
from benchmarks.stranger_streams import FIRST_SEED, FRAUD, SCENES, Stranger, draws, load, records
from consumer.evaluation import Label, PageFacts, judge
from events.instant import DAY

SMALL, TWO = Draw(3, shops=5, small=True, rate=2.0), Draw(3, shops=2, small=True)
TAGS = {"lift", "web_batch", "recall", "returner", "wholesale", "price_point", "evening_event"}


@pytest.fixture(scope="module")
def strangers() -> list[Stranger]:
    """Five small shops of each chain, and two of usual size, which are new."""
    small = [Draw(seed, shops=5, small=True, rate=2.0) for seed in range(len(CHAINS))]
    assert SMALL in small
    return [load(draw) for draw in [*small, Draw(9, shops=2)]]


@pytest.fixture(scope="module")
def small(strangers: list[Stranger]) -> Stranger:
    """That of `SMALL`."""
    return strangers[SMALL.seed]


def test_every_record_is_a_transaction(strangers: list[Stranger]) -> None:
    for strange in strangers:
        assert strange.rejected == 0
        ids = [one.transaction_id for one in strange.stream.transactions]
        assert len(ids) > 3_000
        assert len(set(ids)) == len(ids)
        assert {one.type for one in strange.stream.transactions} == {"SALE", "REFUND", "VOID"}


def test_labels_and_tags_are_of_refunds_that_are_there(strangers: list[Stranger]) -> None:
    for strange in strangers:
        stream = strange.stream
        shops = {one.transaction_id: one.shop_id for one in stream.transactions if one.is_refund}
        assert stream.labels
        assert all(shops[label.transaction_id] == label.shop_id for label in stream.labels)
        assert strange.tags.keys() <= shops.keys()
        assert not strange.tags.keys() & {label.transaction_id for label in stream.labels}


def test_every_kind_and_every_occasion_occurs(strangers: list[Stranger]) -> None:
    kinds = {label.kind for strange in strangers for label in strange.stream.labels}
    assert kinds == set(stranger_frauds.KINDS)
    happened = {one.kind for strange in strangers for one in strange.occasions}
    assert happened == set(stranger_occasions.KINDS)
    assert {tag for strange in strangers for tag in strange.tags.values()} == TAGS
    assert set(CAUSES) >= TAGS


def test_some_records_come_twice_and_some_late(small: Stranger) -> None:
    sent = list(records(SMALL))
    assert 0 < len(sent) - len(set(sent)) < len(sent) / 20
    at = [one.occurred_at for one in small.stream.transactions]
    assert max(earlier - later for earlier, later in pairwise(at)) > DAY / 24


def test_a_seed_says_all_of_a_stream() -> None:
    first = list(records(TWO))
    assert list(records(TWO)) == first
    assert list(records(Draw(9, shops=2, small=True))) != first


def test_what_a_source_has_not_is_gone() -> None:
    named = load(msgspec.structs.replace(TWO, bare=1)).stream.transactions
    assert {one.cashier_id for one in named} == {None}
    assert {one.original_transaction_id for one in named} == {None}
    assert None not in {one.register_id for one in named}
    bare = load(msgspec.structs.replace(TWO, bare=2)).stream.transactions
    assert {(one.register_id, one.cashier_id, one.card_token) for one in bare} == {
        (None, None, None)
    }


def test_foreign_receipts_are_of_no_sale() -> None:
    transactions = load(msgspec.structs.replace(TWO, foreign=True)).stream.transactions
    sales = {one.transaction_id for one in transactions if not one.is_refund}
    shown = [one.original_transaction_id for one in transactions if one.is_refund]
    assert sum(one is not None for one in shown) > len(shown) / 2
    assert not sales & set(shown)


def test_scenes_share_no_seed_and_their_names_are_kept_apart() -> None:
    seeds = Counter(draw.seed for scene in SCENES for draw in draws(scene, FIRST_SEED, 8))
    assert max(seeds.values()) == 1
    assert all(seed >= FIRST_SEED for seed in seeds)


def test_every_false_page_has_a_cause(small: Stranger) -> None:
    stream = small.stream
    pages = [facts_of(one) for one in detect(stream, DetectorConfig(pages_per_shop_week=2.0))]
    judged = judge(pages, stream.labels, stream.arrivals)
    false = false_pages(small, pages)
    assert len(false) == judged.false_pages > 0
    assert Counter(page.reason for page in false) == judged.false_by_reason
    assert {page.cause for page in false} <= CAUSES.keys()
    text = tables({FRAUD: [Done(judged, false)]})
    found = Counter(one.kind for one in judged.campaigns if one.found)
    assert f"| `same_card` | {found['same_card']} of " in text
    cause, reason = false[0]
    assert f"| {CAUSES[cause]} | " in text
    assert f"`{reason}`" in text


def test_what_a_false_page_is_put_down_to() -> None:
    quiet = load(msgspec.structs.replace(TWO, rate=0.0))
    last = [one for one in quiet.stream.transactions if one.is_refund][-1]
    usual = [f"usual {number}" for number in range(3)]

    def causes(*evidence: str) -> list[FalsePage]:
        name, shop, at = last.transaction_id, last.shop_id, last.occurred_at
        return false_pages(quiet, [PageFacts("p", shop, at, "volume", name, evidence)])

    quiet.tags["recalled"] = "recall"
    assert causes("recalled", *usual) == [FalsePage("recall", "volume")]
    quiet.occasions[:] = [Occasion("*", "outage", 0, 99)]
    assert causes("recalled", *usual, "usual 3") == [FalsePage("near", "volume")]
    quiet.occasions[:] = [Occasion("another", "outage", 0, 99), Occasion("*", "returner", 0, 99)]
    assert causes(*usual) == [FalsePage("chance", "volume")]
    quiet.stream.labels.append(Label(last.transaction_id, last.shop_id, "c", "burst"))
    assert causes(last.transaction_id, *usual) == []


def test_the_tables_go_between_marks_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_between(file, "| new |", BEGIN, END)
    assert file.read_text() == f"before\n{BEGIN}\n\n| new |\n\n{END}\nafter\n"
    file.write_text("<!-- measured: begin -->\n<!-- measured: end -->")
    with pytest.raises(ValueError, match="has no"):
        put_between(file, "x", BEGIN, END)
    assert BEGIN in DOCUMENT.read_text(encoding="utf-8")
