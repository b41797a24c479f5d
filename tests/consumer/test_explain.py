"""What `tillwatch explain` says: in words, masked, and where a replay gives something else."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event

import msgspec
import pytest

from consumer.explain_found import Standing, Story, document_of, row_of, stories_of
from consumer.explain_words import Again, compared, explained, lines
from consumer.lake import open_lake
from consumer.replaying import Replayed
from events.batch import Scored
from events.score import Reason, Score
from sinks.directory import DirectoryObjectStore
from sinks.document import page as page_entry
from sinks.document import transaction as transaction_entry
from sinks.parquet import ParquetSink
from sinks.retry import Transient
from sinks.sink import Stopped
from tests.sinks.made import batch, page, score, scored

CARD = "card-0123456789abcdef01234567"
REASONS = (
    Reason("card", "card", CARD, 0.25, 6.0, "refunds", 0.75),
    Reason("amount", "shop", "shop-001", 2_000.0, 128_400.0, "minor units", 0.25),
)
SCORE = Score(0.9312345678901234, REASONS, "m1")
REFUND = scored(
    1,
    score=SCORE,
    type="REFUND",
    card_token=CARD,
    contact_name="name-00",
    contact_email="email-00",
    reason="for jane@example.com",
)


class Node:
    """A node that holds what the worker's own builders made."""

    def __init__(self, *items: Scored, down: bool = False) -> None:
        self._items = items
        self._down = down

    def search(self, *, index: str, body: object, params: object) -> dict[str, object]:
        assert params
        if index.startswith("pages"):
            documents = [page_entry(page(evidence=("t-000001",))).document]
        else:
            assert body == {"query": {"ids": {"values": ["t-000001"]}}, "size": 1}
            documents = [transaction_entry(item).document for item in self._items]
        hits = [
            {"_index": "it", "_source": msgspec.json.decode(msgspec.json.encode(document))}
            for document in documents
        ]
        return {"timed_out": self._down, "_shards": {"failed": 0}, "hits": {"hits": hits}}


def again_of(*differs: str, exact: bool = True, lacking: Sequence[str] = ()) -> Again:
    done = Replayed("shardId-0", "a snapshot", exact=exact, lacking=[*lacking])
    return Again(same=not differs, exact=exact, score=SCORE, differs=[*differs], replayed=done)


@pytest.fixture
def found() -> Standing:
    standing = document_of(Node(REFUND), "t-000001", Event())
    assert standing is not None
    return standing


def test_a_document_gives_the_score_back_to_the_bit(found: Standing) -> None:
    assert found.score == SCORE
    assert found.position == REFUND.position
    assert found.occurred_at == REFUND.transaction.occurred_at
    assert found.arrived_at == REFUND.arrived_at
    assert document_of(Node(), "t-000001", Event()) is None


def test_an_answer_that_is_not_whole_is_asked_for_again() -> None:
    stop = Event()
    stop.set()
    with pytest.raises((Transient, Stopped)):
        document_of(Node(down=True), "t-000001", stop)


def test_what_people_read(found: Standing) -> None:
    text = "\n".join(lines(explained(found, stories_of(Node(), found, Event()))))
    assert text.startswith("t-000001: REFUND of 25.00 GBP at shop-001\n")
    assert "Score: 0.9312345678901234" in text
    assert "75.0%  card, card …4567: observed 6, expected 0.25 refunds" in text
    assert "25.0%  amount, shop shop-001: observed 1,284.00, expected 20.00 GBP" in text
    assert "Page p-0001 (open, severity 4): 14 refunds" in text
    assert "this transaction opened it" in text


@pytest.mark.parametrize("secret", [CARD, "name-00", "email-00", "jane@example.com"])
def test_cards_and_contact_data_are_not_shown(found: Standing, secret: str) -> None:
    again = again_of("the score differs")
    told = explained(found, [], again)
    assert secret not in "\n".join(lines(told))
    assert secret not in msgspec.json.encode(told).decode()
    assert told.fields["card"] == "masked"


def test_a_sale_has_no_score() -> None:
    found = document_of(Node(scored(1)), "t-000001", Event())
    assert found is not None
    text = "\n".join(lines(explained(found, None)))
    assert "Score: none; refunds are scored" in text
    assert "Pages: not asked for" in text


class Rows:
    def __init__(self, *rows: dict[str, object]) -> None:
        self.names = list(rows[0]) if rows else []
        self._rows = rows

    def rows(self) -> list[tuple[object, ...]]:
        return [tuple(row.values()) for row in self._rows]


def test_a_row_is_asked_for_with_its_id_quoted() -> None:
    asked: list[str] = []

    def ask(question: str) -> Rows:
        asked.append(question)
        return Rows()

    assert row_of(ask, "t-' OR '1'='1") is None
    assert "'t-'' OR ''1''=''1'" in asked[0]


def test_equal_scores_do_not_differ() -> None:
    assert compared(SCORE, msgspec.structs.replace(SCORE)) == []
    assert compared(None, None) == []


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (msgspec.structs.replace(SCORE, value=0.9312345678901235), "0.9312345678901235"),
        (msgspec.structs.replace(SCORE, model_version="m2"), "m2"),
        (msgspec.structs.replace(SCORE, reasons=REASONS[:1]), "not there in the replay"),
        (msgspec.structs.replace(SCORE, reasons=REASONS[::-1]), "another order"),
        (score(), "0.875"),
        (None, "one is scored"),
    ],
)
def test_whatever_differs_is_said(other: Score | None, words: str) -> None:
    assert words in " ".join(compared(SCORE, other))


def test_a_replay_says_whether_it_is_the_same(found: Standing) -> None:
    same = explained(found, [], again_of())
    assert "the same, bit for bit" in "\n".join(lines(same))
    other = explained(found, [], again_of("the score is 1", exact=False, lacking=["gone"]))
    text = "\n".join(lines(other))
    assert "differs: the score is 1" in text
    assert "gone" in text
    assert "to be expected" in text


def test_stories_say_how_a_page_has_to_do_with_it(found: Standing) -> None:
    (story,) = stories_of(Node(), found, Event())
    assert isinstance(story, Story)
    assert story.how == "opened it"
    elsewhere = msgspec.structs.replace(found, fields=found.fields | {"transaction_id": "t-9"})
    (story,) = stories_of(Node(), elsewhere, Event())
    assert story.how == "meanwhile"


def test_a_row_gives_the_score_back_to_the_bit(tmp_path: Path) -> None:
    sink = ParquetSink(DirectoryObjectStore(tmp_path), staging="staging/tillwatch/")
    staged = sink.write(batch(scored(0), REFUND, scored(2))).staged
    assert staged is not None
    lake = open_lake(str(tmp_path), application="tillwatch", zone="UTC")
    found = row_of(lake.ask, "t-000001")
    assert found is not None
    assert (found.score, found.position) == (SCORE, REFUND.position)
    assert found.occurred_at == REFUND.transaction.occurred_at
    text = "\n".join(lines(explained(found, None)))
    assert text.startswith("t-000001: REFUND of 25.00 GBP at shop-001\n")
    assert not any(secret in text for secret in (CARD, "name-00", "email-00", "jane"))
    assert row_of(lake.ask, "t-none") is None
