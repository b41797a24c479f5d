"""While the key of the hashes is rotated, a card stays the card it was: scores go on bit by bit."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from anomaly.detector import Detector, DetectorConfig, Observation
from anomaly.repeats import short
from anomaly.state import Incident, decode_shop
from anomaly.trail import length
from events.instant import DAY, MINUTE
from events.transaction import Transaction
from tests.anomaly.trade import MONDAY, trade, transaction

CONFIG = DetectorConfig(key_groups=1)
OLD, NEW = "card-old-", "card-new-"


def _stream(seed: int) -> list[Transaction]:
    """Trade of two shops in which a few cards come back, some of them again and again."""
    rng = Random(seed)
    stream = list(trade(seed, days=3, shops=2, daily=60))
    cards = [f"k-{number}" for number in range(60)]
    for number in range(150):
        card = cards[min(int(rng.expovariate(0.1)), 59)]
        at = MONDAY + int(rng.random() * 3 * DAY)
        shop = f"shop-{rng.randrange(1, 3)}"
        refund = transaction(
            90_000 + number, "REFUND", at, rng.choice((900, 9_000)), shop, card_token=card
        )
        stream.append(replace(refund, cashier_id=f"c-{rng.randrange(3)}"))
    return sorted(stream, key=lambda one: one.occurred_at)


def _hashed(one: Transaction, prefix: str, before: str | None) -> Transaction:
    card = one.card_token
    if card is None:
        return one
    known = before is not None and one.type == "REFUND"
    return replace(one, card_token=prefix + card, card_before=f"{before}{card}" if known else None)


def _plain(value: Any) -> Any:
    """Without the names of cards, which are what a new key changes."""
    if isinstance(value, str):
        return value.replace(OLD, "").replace(NEW, "")
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "__struct_fields__"):
        return {name: _plain(item) for name, item in asdict(value).items()}
    return value


def _told(
    stream: list[Transaction], rotated_at: int, before: str | None
) -> tuple[list[Observation | None], Detector]:
    detector = Detector(CONFIG)
    observed = []
    for place, one in enumerate(stream):
        late = place >= rotated_at
        observed.append(
            detector.observe(_hashed(one, NEW if late else OLD, before if late else None))
        )
    return observed, detector


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1_000), st.floats(0, 1))
def test_scores_and_pages_go_on_as_if_nothing_had_changed(seed: int, part: float) -> None:
    stream = _stream(seed)
    plain, _ = _told(stream, len(stream), None)
    turned, _ = _told(stream, int(part * len(stream)), OLD)
    assert _plain(turned) == _plain(plain)


def test_without_the_old_key_cards_would_be_strangers() -> None:
    """So the test above can fail."""
    stream = _stream(5)
    plain, _ = _told(stream, len(stream), None)
    turned, _ = _told(stream, len(stream) // 2, None)
    assert _plain(turned) != _plain(plain)


def test_a_page_that_is_open_goes_on_under_the_new_name() -> None:
    detector = Detector(CONFIG)
    detector.observe(_hashed(transaction(1, "REFUND", card_token="k-1"), OLD, None))
    incidents = detector._shops["shop-1"].state.incidents
    for kind, name in (("card", f"{OLD}k-1"), ("card", f"{OLD}k-2"), ("cashier", f"{OLD}k-1")):
        incidents.append(
            Incident(
                *("p-1", "card", kind, name, "GBP", MONDAY, MONDAY, MONDAY, MONDAY, DAY, "t-1"),
                *(3.0, 1.0, "", 0.9, False),
            )
        )
    detector.observe(_hashed(transaction(2, "REFUND", card_token="k-1"), NEW, OLD))
    names = [incident.entity_id for incident in incidents]
    assert names == [f"{NEW}k-1", f"{OLD}k-2", f"{OLD}k-1"]


@pytest.mark.parametrize("order", [(OLD, NEW, OLD, NEW), (OLD, OLD, NEW, OLD)])
def test_workers_of_two_keys_may_take_turns(order: tuple[str, ...]) -> None:
    """A worker that is not restarted yet knows the old key alone; what it adds is found again."""
    detector = Detector(CONFIG)
    for number, prefix in enumerate(order):
        one = transaction(number, "REFUND", MONDAY + number * MINUTE, card_token="k-1")
        detector.observe(_hashed(one, prefix, OLD if prefix == NEW else None))
    last = transaction(9, "REFUND", MONDAY + 9 * MINUTE, card_token="k-1")
    detector.observe(_hashed(last, NEW, OLD))
    (state,) = map(decode_shop, detector.take_changes().shops.values())
    assert list(state.cards.seen) == [short(f"{NEW}k-1")]
    assert length(state.cards.seen[short(f"{NEW}k-1")].trail) == len(order) + 1
    assert {refund.card for refund in state.recent} == {short(f"{NEW}k-1")}
