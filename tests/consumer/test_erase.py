"""`tillwatch erase` at its edges: who is meant, which letters, what OpenSearch and AWS say."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from consumer.cli import main
from consumer.erase_index import PAGE_DOCUMENTS_MAX, IndexErasure, IndexRefused
from consumer.erase_letters import LetterErasure, Person
from consumer.erase_report import Place, lines
from sinks.dead_letters import DeadLetters
from sinks.deadline import Deadline
from sinks.dlq import DeadLetterSink
from sinks.erasure import Subject
from sinks.opensearch_client import TransportError
from sinks.s3 import S3ObjectStore
from sinks.s3_versions import OldVersions
from sinks.sink import Stopped
from tests.consumer.world import wire
from tests.sinks.made import rejection

CUSTOMER, CARD, EMAIL = "u-17", "k-93ab", "Jane@Example.org"
PERSON = Person(CUSTOMER, CARD, EMAIL)


@pytest.mark.parametrize(
    "data",
    [
        wire(1, total="x", customer_id=CUSTOMER),
        wire(1, total="x", payment={"card_token": CARD}),
        wire(1, total="x", contact={"email": " jane@example.org"}),
        wire(1, total="x", note=f"write to {EMAIL.upper()}"),
        wire(1, total="x", other={"token": CARD}),
        f'{{"customer_id": "{CUSTOMER}", '.encode(),
        f"{EMAIL};{CUSTOMER}".encode("utf-16-le").replace(b"\0", b""),
        b"\xff" + CARD.encode(),
    ],
)
def test_letters_that_are_theirs(data: bytes) -> None:
    assert PERSON.is_in(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[" * 99,
        wire(1, total="x"),
        wire(1, total="x", customer_id="u-171", payment={"card_token": "k-93abc"}),
        wire(1, total="x", customer_id="xu-17", contact={"email": "mary-jane@example.org"}),
        wire(1, total="x", note=f"as {CUSTOMER} said"),  # a number stands for many things
        wire(1, total="x", contact="x", payment=7),
        b'{"customer_id": ["u-17"]}',
        b'"u-17-2',
    ],
)
def test_letters_that_are_others(data: bytes) -> None:
    assert not PERSON.is_in(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_looked_at(data: bytes) -> None:
    assert not Person().is_in(data)
    PERSON.is_in(data)


def test_a_person_shows_nowhere() -> None:
    assert "17" not in repr(PERSON)
    assert "Jane" not in f"{PERSON}"


class Post:
    """A queue and a bucket with letters in them."""

    def __init__(self) -> None:
        import boto3

        self.sqs = boto3.client("sqs", region_name="us-east-1")
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket="lake")
        self.url = self.sqs.create_queue(QueueName="letters")["QueueUrl"]
        self.stop = threading.Event()
        self.store = S3ObjectStore(self.s3, "lake", self.stop)

    def write(self, *data: bytes) -> None:
        sink = DeadLetterSink(self.sqs, self.url, self.store, self.stop)
        sink.write_rejections([rejection(number, one) for number, one in enumerate(data)])

    def erase(self, **options: Any) -> list[Place]:
        queue = DeadLetters(self.sqs, self.url, self.stop, poll_seconds=0)
        with queue:
            return LetterErasure(queue, self.store, PERSON, **({"dry_run": False} | options)).run()

    def left(self) -> int:
        queue = DeadLetters(self.sqs, self.url, self.stop, poll_seconds=0)
        with queue:
            return len(list(queue.messages()))


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield Post()


def test_their_letters_go_with_their_bytes_and_others_stay(post: Post) -> None:
    large = wire(3, total="x", customer_id=CUSTOMER, padding="x" * 300_000)
    other = wire(4, total="x", customer_id="u-1", padding="x" * 300_000)
    post.write(wire(1, total="x", customer_id=CUSTOMER), wire(2, total="x"), large, other)
    assert len(post.store.keys("dead-letters/")) == 2
    assert [(one.found, one.erased) for one in post.erase(dry_run=True)] == [(2, 0)]
    assert post.left() == 4
    assert [(one.found, one.erased) for one in post.erase()] == [(2, 2)]
    assert post.left() == 2
    (key,) = post.store.keys("dead-letters/")
    assert post.store.get(key) == other
    assert [(one.found, one.erased) for one in post.erase()] == [(0, 0)]


def test_bytes_that_the_bucket_keeps_though_they_were_deleted_go_too(post: Post) -> None:
    post.s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    post.write(wire(3, total="x", customer_id=CUSTOMER, padding="x" * 300_000))
    versions = OldVersions(post.s3, "lake", post.stop)
    post.erase(versions=versions)
    assert list(versions.under("dead-letters/")) == []
    answer = post.s3.list_object_versions(Bucket="lake")
    assert answer.get("Versions", []) == []


def test_a_queue_that_was_not_read_to_its_end_is_told(post: Post) -> None:
    post.write(*(wire(n, total="x") for n in range(4)))
    queue = DeadLetters(post.sqs, post.url, post.stop, poll_seconds=0, messages_max=2)
    with queue:
        (place,) = LetterErasure(queue, post.store, PERSON, dry_run=False).run()
    assert not place.whole
    assert "erase again" in place.note


class Index:
    """Answers of OpenSearch, one after the other; what is written lands in `documents`."""

    def __init__(self, documents: list[dict[str, Any]], conflicts: int = 0) -> None:
        self.documents = {document["transaction_id"]: document for document in documents}
        self.conflicts = conflicts
        self.requests = 0
        self.indices = self
        self.bodies: list[str] = []

    def refresh(self, **_: Any) -> None:
        pass

    def search(self, *, index: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.requests += 1
        hits = sorted(self.documents) if index.startswith("transactions") else []
        after = body.get("search_after", ["", ""])[1]
        names = body["query"]["bool"]["should"][0]["terms"]["customer_id"] if hits else []
        chosen = [
            id_ for id_ in hits if id_ > after and self.documents[id_].get("customer_id") in names
        ][: body["size"]]
        return {
            "timed_out": False,
            "_shards": {"failed": 0},
            "hits": {
                "hits": [
                    {
                        "_index": "transactions-2026.01.05",
                        "_id": id_,
                        "_seq_no": 1,
                        "_primary_term": 1,
                        "_version": 1,
                        "_source": self.documents[id_],
                        "sort": ["transactions-2026.01.05", id_],
                    }
                    for id_ in chosen
                ]
            },
        }

    def bulk(self, *, body: str) -> dict[str, Any]:
        said = [json.loads(line) for line in body.splitlines()]
        items = []
        for action, document in zip(said[::2], said[1::2], strict=True):
            assert action["index"]["if_seq_no"] == 1
            if self.conflicts:
                self.conflicts -= 1
                items.append({"index": {"status": 409}})
            else:
                self.documents[action["index"]["_id"]] = document
                items.append({"index": {"status": 200}})
        return {"items": items}


SUBJECT = Subject(customer_id=frozenset({CUSTOMER}))


def sales(count: int) -> list[dict[str, Any]]:
    return [
        {"transaction_id": f"t-{n:06}", "customer_id": CUSTOMER if n % 2 else "u-1", "total": n}
        for n in range(count)
    ]


def index_erasure(client: Any, **options: Any) -> IndexErasure:
    options = {"dry_run": False, "stop": threading.Event()} | options
    return IndexErasure(client, SUBJECT, **options)


def test_more_documents_than_one_answer_holds() -> None:
    index = Index(sales(2 * PAGE_DOCUMENTS_MAX + 300))
    place = next(index_erasure(index).run())
    assert (place.found, place.erased) == (PAGE_DOCUMENTS_MAX + 150, PAGE_DOCUMENTS_MAX + 150)
    assert sum("customer_id" in one for one in index.documents.values()) == place.found
    assert sum(one["total"] for one in index.documents.values()) == sum(
        one["total"] for one in sales(2 * PAGE_DOCUMENTS_MAX + 300)
    )


def test_a_document_that_a_worker_wrote_meanwhile_is_met_again() -> None:
    index = Index(sales(10), conflicts=2)
    place = next(index_erasure(index).run())
    assert (place.found, place.erased) == (5, 5)
    index = Index(sales(10), conflicts=10**6)
    place = next(index_erasure(index).run())
    assert (place.found, place.erased, place.left) == (5, 0, 5)


def test_a_dry_run_writes_nothing() -> None:
    index = Index(sales(10))
    place = next(index_erasure(index, dry_run=True).run())
    assert (place.found, place.erased) == (5, 0)
    assert list(index.documents.values()) == sales(10)


def test_what_opensearch_refuses_and_what_it_may_still_do() -> None:
    class Away:
        indices: Any

        def __init__(self, status: object) -> None:
            self.status = status
            self.indices = self

        def refresh(self, **_: Any) -> None:
            raise TransportError(self.status, "security_exception", {})

    with pytest.raises(IndexRefused, match="403"):
        next(index_erasure(Away(403)).run())
    for passing in (429, 503, "N/A"):
        with pytest.raises(Stopped):
            next(index_erasure(Away(passing), stop=Deadline(0.3)).run())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say who"),
        (("--customer", " "), "--customer is empty"),
        (("--email", ""), "--email is empty"),
    ],
)
def test_who_is_meant_must_be_said(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(main, ["erase", *arguments])
    assert result.exit_code == 2
    assert said in result.output


def test_without_a_yes_nothing_is_begun() -> None:
    result = CliRunner().invoke(main, ["erase", "--customer", "-"], input="u-17\nn\n")
    assert result.exit_code == 1
    assert "Nothing brings back" in result.output
    assert "Aborted" in result.output


def test_a_report_tells_what_is_left_and_a_dry_run_what_is_found() -> None:
    places = [Place("A", "files", 3, 1, "later"), Place("B", "documents", 0, 0)]
    assert list(lines(places, dry_run=False)) == [
        f"{'A':22} 3 files, 1 erased: later",
        f"{'B':22} 0 documents, 0 erased",
    ]
    assert next(iter(lines(places, dry_run=True))) == f"{'A':22} 3 files: later"
    assert places[0].left == 2
