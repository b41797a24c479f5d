"""Golden scores: another river, or another detector, is seen before it scores anything."""

import msgspec
import pytest

from anomaly.detector import DetectorConfig
from anomaly.river_hst import HalfSpaceTrees
from anomaly.state import StateError
from consumer.golden import SHOPS_MAX, GoldenScores
from consumer.hours import HoursState
from consumer.scorer import Scorer
from consumer.snapshot import State
from events.instant import DAY, HOUR
from events.key_group import key_group
from events.parse import Parser
from events.pseudonym import Pseudonymizer
from events.transaction import Transaction
from tests.consumer.world import KEY_GROUPS, START, as_records, wire

SHOPS = [f"shop-{number}" for number in range(4, 10)]
"""Some of either key group."""


@pytest.fixture(scope="module")
def learnt() -> State:
    """Three weeks of trade in a few shops."""
    data = [
        wire(
            number,
            shop=SHOPS[number % len(SHOPS)],
            kind="REFUND" if number % 5 < 2 else "SALE",
            at=START + number * HOUR // 4,
            total=f"{5 + number % 40}.00",
        )
        for number in range(21 * 24 * 4)
    ]
    parse = Parser(Pseudonymizer(b"a key for tests only")).parse
    scorer = Scorer(DetectorConfig(key_groups=KEY_GROUPS))
    for record in as_records(data):
        found = parse(record)
        assert isinstance(found, Transaction)
        scorer.observe(found)
    changes = scorer.take_changes()
    return State(
        shops=changes.shops, groups=changes.groups, hours=HoursState(watermark=START + 21 * DAY)
    )


def scores(state: State) -> dict[str, float]:
    return GoldenScores(KEY_GROUPS)(state)


def test_the_first_shops_by_name_are_asked_and_say_the_same_again(learnt: State) -> None:
    found = scores(learnt)
    assert list(found) == SHOPS[:SHOPS_MAX]
    assert scores(learnt) == found
    turned = msgspec.structs.replace(learnt, shops=dict(reversed(learnt.shops.items())))
    assert scores(turned) == found


def test_the_bytes_that_were_asked_stay_as_they_are(learnt: State) -> None:
    before = (dict(learnt.shops), dict(learnt.groups))
    scores(learnt)
    assert (learnt.shops, learnt.groups) == before


def test_a_shop_whose_group_is_not_in_the_same_object_is_not_asked(learnt: State) -> None:
    group = key_group(SHOPS[0], KEY_GROUPS)
    part = msgspec.structs.replace(
        learnt, groups={name: data for name, data in learnt.groups.items() if name != group}
    )
    expected = [shop for shop in SHOPS if key_group(shop, KEY_GROUPS) != group][:SHOPS_MAX]
    assert expected
    assert list(scores(part)) == expected
    assert scores(msgspec.structs.replace(learnt, groups={})) == {}
    assert scores(State()) == {}


def test_other_state_scores_otherwise(learnt: State) -> None:
    other = msgspec.structs.replace(learnt, shops={SHOPS[0]: learnt.shops[SHOPS[1]]})
    assert scores(other)[SHOPS[0]] != scores(learnt)[SHOPS[0]]


def test_a_river_that_computes_otherwise_is_seen_by_the_forests_own_scores(
    learnt: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = HalfSpaceTrees.score_one
    monkeypatch.setattr(
        HalfSpaceTrees, "score_one", lambda self, x: compute(self, x) * (1 - 2**-40)
    )
    with pytest.raises(StateError, match="scores its probes otherwise"):
        scores(learnt)


def test_a_detector_that_computes_otherwise_differs(
    learnt: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scores(learnt)
    monkeypatch.setattr("anomaly.detector.EVEN_ODDS_BELOW", 3.0 + 2**-40)
    after = scores(learnt)
    assert after.keys() == before.keys()
    assert all(after[shop] != score for shop, score in before.items())


def test_bytes_of_another_format_are_a_state_error(learnt: State) -> None:
    for part in (
        msgspec.structs.replace(learnt, shops={SHOPS[0]: b"no state"}),
        msgspec.structs.replace(learnt, groups=dict.fromkeys(learnt.groups, b"no state")),
    ):
        with pytest.raises(StateError):
            scores(part)
