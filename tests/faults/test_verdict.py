"""A verdict that cannot fail would prove nothing: each way to be wrong is told."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from local.outcome import Outcome
from local.uninterrupted import Uninterrupted, fingerprint
from local.verdict import faults, repeats

PAGE = {"page_id": "p-1", "revision": 1, "evidence": ["t-2"]}
EXPECTED = Uninterrupted(
    records=4,
    documents={"t-1": b"one", "t-2": b"two"},
    scores={"t-2": 0.75},
    pages={"p-1": PAGE},
    sendings={("p-1", 0), ("p-1", 1)},
    rejections=1,
)


def found(**changes: Any) -> Outcome:
    outcome = Outcome(
        documents=dict(EXPECTED.documents),
        rows=Counter({"t-1": 1, "t-2": 1}),
        scores={"t-2": 0.75},
        pages={"p-1": PAGE},
        sendings={("p-1", 0): [1_000], ("p-1", 1): [2_000]},
        rejections=1,
        staged=[],
        orphans=[],
    )
    return msgspec.structs.replace(outcome, **changes)


def test_what_is_as_it_should_be_is_without_fault() -> None:
    assert faults(EXPECTED, found()) == []


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (found(documents={"t-1": b"one"}), "1 documents missing: ['t-2']"),
        (
            found(documents={**EXPECTED.documents, "t-3": b""}),
            "1 documents that should not be: ['t-3']",
        ),
        (
            found(documents={"t-1": b"one", "t-2": b"another"}),
            "1 documents with another content: ['t-2']",
        ),
        (found(rows=Counter({"t-1": 1})), "1 rows missing: ['t-2']"),
        (found(rows=Counter({"t-1": 2, "t-2": 1})), "1 transactions with several rows: ['t-1']"),
        (
            found(rows=Counter({"t-1": 1, "t-2": 1, "t-3": 1})),
            "1 rows that should not be: ['t-3']",
        ),
        (found(scores={"t-2": 0.7500000000000001}), "1 rows with another score: ['t-2']"),
        (found(pages={}), "1 pages missing: ['p-1']"),
        (
            found(pages={"p-1": {**PAGE, "evidence": []}}),
            "1 pages with another content: ['p-1']",
        ),
        (found(sendings={("p-1", 0): [1_000]}), "1 pages sent missing: [('p-1', 1)]"),
        (
            found(sendings={("p-1", 0): [1_000], ("p-1", 1): [1], ("p-1", 2): [1]}),
            "1 pages sent that should not be: [('p-1', 2)]",
        ),
        (found(rejections=2), "dead letters: 2 instead of 1"),
        (found(staged=["staging/s/1_2"]), "1 staged parts left behind: ['staging/s/1_2']"),
        (
            found(orphans=["snapshots/s/1.1.0"]),
            "1 snapshots left behind that nothing needs: ['snapshots/s/1.1.0']",
        ),
    ],
)
def test_each_way_to_be_wrong_is_told(outcome: Outcome, told: str) -> None:
    assert faults(EXPECTED, outcome) == [told]


def test_a_page_may_go_out_again_only_where_a_kill_fell_in_between() -> None:
    twice = found(sendings={("p-1", 0): [1_000], ("p-1", 1): [2_000, 9_000]})
    assert repeats(twice) == 1
    assert faults(EXPECTED, twice, kills_at=[3_000]) == []
    later = found(sendings={("p-1", 0): [1_000], ("p-1", 1): [2_000, 90_000]})
    assert faults(EXPECTED, later, kills_at=[3_000]) == []
    assert faults(EXPECTED, later, kills_at=[20_000]) != []
    assert faults(EXPECTED, twice, kills_at=[1_500, 9_500]) == [
        "1 pages sent twice without a kill in between: [('p-1', 1)]"
    ]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda document: document | {"position": {"shard_id": "another"}}, True),
        (lambda document: document | {"arrived_at": "2026-01-05T00:00:00Z"}, True),
        (lambda document: dict(reversed(document.items())), True),
        (lambda document: document | {"score": {"value": 0.2500000000000001}}, False),
        (lambda document: document | {"customer_id": "u-1"}, False),
    ],
)
def test_a_fingerprint_is_of_the_content_and_not_of_the_place(
    change: Callable[[dict[str, Any]], dict[str, Any]], *, same: bool
) -> None:
    document = {"transaction_id": "t-1", "score": {"value": 0.25}, "position": {"shard_id": "s"}}
    assert (fingerprint(change(document)) == fingerprint(document)) is same
