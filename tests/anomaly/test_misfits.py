"""Refunds above their sale, or long after it: what they say, and when they say nothing."""

from collections.abc import Iterator
from functools import cache

import pytest

from anomaly.detector import Detector, DetectorConfig
from anomaly.marks import ABOVE_SALE
from anomaly.misfits import AGES, AGES_MEMORY, CHAIN_LATE_MAX, LATE_FROM, Misfits
from anomaly.sale_state import ChainMisfitState
from anomaly.state import TRAIL_MAX, Recent
from anomaly.trail import length, refunds
from events.instant import DAY, HOUR, MINUTE
from events.page import Page
from events.score import Score
from events.transaction import Transaction
from tests.anomaly.trade import MONDAY, transaction, watch

CONFIG = DetectorConfig(key_groups=1)
DAYS = 60
DAILY = 30


def _receipt(day: int, number: int) -> str:
    return f"shop-1-{day * 1_000 + number}"


def _sold(day: int, number: int) -> int:
    return 800 + (day * 37 + number * 211) % 4_000


def _usual() -> Iterator[Transaction]:
    """Two months of a small shop: each day two customers bring back what they bought lately."""
    for day in range(DAYS):
        midnight = MONDAY + day * DAY
        for number in range(DAILY):
            at = midnight + 9 * HOUR + number * 25 * MINUTE
            yield transaction(
                day * 1_000 + number, at=at, total=_sold(day, number), cashier_id=f"c-{number % 4}"
            )
        for number in range(2 if day else 0):
            before = day - 1 - (day + number * 5) % min(day, 9)
            yield _refund(
                day * 1_000 + 500 + number,
                day,
                13 + number,
                before,
                day % 13 * 2 + number,
                cashier=f"c-{number}",
            )


def _small(day: int) -> int:
    """The smallest sale of that day."""
    return min(range(DAILY), key=lambda number: _sold(day, number))


def _refund(
    number: int, day: int, hour: float, of_day: int, of: int, more: int = 0, cashier: str = "c-1"
) -> Transaction:
    """What was sold as number `of` of that day comes back, and `more` money than it brought."""
    return transaction(
        number,
        "REFUND",
        MONDAY + day * DAY + int(hour * HOUR),
        _sold(of_day, of) + more,
        cashier_id=cashier,
        original_transaction_id=_receipt(of_day, of),
    )


@cache
def _kept() -> tuple[dict[str, bytes], dict[int, bytes]]:
    detector = Detector(CONFIG)
    _, pages = watch(detector, sorted(_usual(), key=lambda one: one.occurred_at))
    assert pages == []
    changes = detector.take_changes()
    return changes.shops, changes.groups


@pytest.fixture
def detector() -> Detector:
    return Detector(CONFIG, *_kept())


def _part(score: Score, kind: str) -> float:
    return sum(reason.share for reason in score.reasons if reason.kind == kind)


def _opened(pages: list[Page]) -> list[Page]:
    return [page for page in pages if page.status == "open"]


def test_refunds_above_their_sale_page_in_the_words_of_the_shop(detector: Detector) -> None:
    above = [
        _refund(900_000 + n, DAYS, 10 + n, day, _small(day), more=2 * _sold(day, _small(day)))
        for n, day in enumerate(range(DAYS - 5, DAYS - 1))
    ]
    scores, pages = watch(detector, above)
    page = _opened(pages)[0]
    assert page.reason == "above"
    assert "back on a receipt of about" in page.summary
    assert "days or more after its sale" in page.summary
    assert page.summary.endswith("all by cashier c-1")
    assert _part(scores[len(page.evidence) - 1], "above") > 0.5


def test_partial_refunds_of_a_receipt_are_above_it_only_together(detector: Detector) -> None:
    of = _small(DAYS - 1)
    half = [_refund(910_000 + n, DAYS, 10 + n, DAYS - 1, of, more=-300) for n in range(2)]
    shop = detector._shops["shop-1"]
    first = shop.fit(half[0])
    detector.observe(half[0])
    second = shop.fit(half[1])
    assert first.above == 0.0 < first.times <= 1.0
    assert second.times == pytest.approx(2 * first.times)
    assert (second.above > 0.0) == (second.times > 1.02)


def test_one_refund_of_many_times_its_sale_pages_alone_for_its_amount(detector: Detector) -> None:
    small = _small(DAYS - 1)
    refund = _refund(920_000, DAYS, 12, DAYS - 1, small, more=30 * _sold(DAYS - 1, small))
    scores, pages = watch(detector, [refund])
    assert [page.reason for page in pages] == ["amount"]
    assert "back on a receipt of about" in pages[0].summary
    assert _part(scores[0], "above") > 0.3


def test_refunds_long_after_their_sale_page_where_nobody_brings_such(detector: Detector) -> None:
    late = [_refund(930_000 + n, DAYS, 10 + n, n, 9) for n in range(6)]
    _, pages = watch(detector, late)
    page = _opened(pages)[0]
    assert page.reason == "late"
    assert f"given back {DAYS - len(page.evidence)} days or more after its sale" in page.summary


def test_where_old_receipts_come_every_day_they_are_not_late(detector: Detector) -> None:
    shop = detector._shops["shop-1"]
    receipt = _refund(1, DAYS, 10, 5, 9)
    assert shop.fit(receipt).late > 0.0
    for _ in range(40):
        shop.misfits.learn(shop.fit(receipt), 1.0)
    assert shop.fit(receipt).late == 0.0


def test_what_the_other_shops_have_as_well_is_expected() -> None:
    chain = ChainMisfitState()
    here, others = Misfits(chain), [_known(chain) for _ in range(4)]
    before = here.share_late()
    for _ in range(20):
        for other in others:
            other.learn(other.fit(0, 0, 0.0, 80), 1.0)
    assert here.share_late() > 3 * before
    alone = _known(chain := ChainMisfitState())
    for _ in range(20):
        alone.learn(alone.fit(0, 0, 0.0, 80), 1.0)
    assert chain.late <= CHAIN_LATE_MAX
    assert Misfits(chain).share_late() < 4 * before


def _known(chain: ChainMisfitState) -> Misfits:
    """A shop where goods come back within a week."""
    misfits = Misfits(chain)
    for number in range(400):
        misfits.learn(misfits.fit(0, 0, 0.0, number % 8), 1.0)
    return misfits


def test_what_every_cashier_does_says_less_than_what_one_does() -> None:
    nats = []
    for cashiers in (["c-1"] * 5, [f"c-{n}" for n in range(5)]):
        misfits = Misfits()
        for n, cashier in enumerate(cashiers):
            one = _recent(n, cashier)
            misfits.count(one, misfits.fit(100, 300, 3.0, None))
            misfits.remember(one)
        nats.append(misfits.state.above_runs.tests)
        assert length(misfits.state.trail) <= TRAIL_MAX
    assert nats[0] != nats[1]


def _recent(number: int, cashier: str | None) -> Recent:
    return Recent(number * HOUR, 300, f"t-{number}", cashier, None, ABOVE_SALE)


def test_what_is_told_is_not_told_again(detector: Detector) -> None:
    above = [_refund(940_000 + n, DAYS, 10 + n / 4, DAYS - 2, n, more=2_500) for n in range(6)]
    _, pages = watch(detector, above)
    told = {one for page in pages for one in page.evidence}
    trail = detector._shops["shop-1"].state.misfits.trail
    assert told
    assert not told & {one.id for one in refunds(trail)}


def test_what_is_not_told_stays() -> None:
    misfits = Misfits()
    for number in range(3):
        misfits.remember(_recent(number, "c-1"))
    misfits.forget({"t-1"})
    assert [one.id for one in refunds(misfits.state.trail)] == ["t-0", "t-2"]


def test_refunds_in_another_currency_are_not_held_against_the_sale(detector: Detector) -> None:
    shop = detector._shops["shop-1"]
    foreign = transaction(
        1,
        "REFUND",
        MONDAY + DAYS * DAY,
        10**6,
        currency="JPY",
        original_transaction_id=_receipt(DAYS - 1, 9),
    )
    assert shop.fit(foreign).times == 0.0
    detector.observe(transaction(77, at=MONDAY + DAYS * DAY + HOUR, total=5, currency="JPY"))
    assert shop.sold.find("shop-1-77") is None


def test_ages_are_counted_in_bounded_memory() -> None:
    misfits = Misfits()
    for number in range(AGES_MEMORY + 5):
        misfits.learn(misfits.fit(0, 0, 0.0, number % 200), 1.0)
    assert len(misfits.state.ages) == AGES
    assert sum(misfits.state.ages) < AGES_MEMORY * 100
    assert misfits.share_as_old(0) == pytest.approx(1.0)
    assert misfits.fit(0, 0, 0.0, LATE_FROM - 1).late == 0.0


def test_a_restored_detector_goes_on_bit_for_bit() -> None:
    odd = [_refund(950_000 + n, 30 + 3 * n, 15, 28 + 3 * n, n, more=1_900) for n in range(8)]
    odd += [_refund(960_000 + n, 40 + 2 * n, 16, n, 11) for n in range(8)]
    stream = sorted((*_usual(), *odd), key=lambda one: one.occurred_at)
    straight = watch(Detector(CONFIG), stream)
    detector, scores, pages = Detector(CONFIG), [], []
    shops: dict[str, bytes] = {}
    groups: dict[int, bytes] = {}
    for start in range(0, len(stream), 301):
        changes = detector.take_changes()
        shops.update(changes.shops)
        groups.update(changes.groups)
        detector = Detector(CONFIG, shops, groups)
        found = watch(detector, stream[start : start + 301])
        scores += found[0]
        pages += found[1]
    assert (scores, pages) == straight
    assert {"above", "late"} & {page.reason for page in pages}
