"""What a shop learns beside its estimators, seen through the detector."""

import pytest

from anomaly.detector import Detector, DetectorConfig
from anomaly.hypotheses import RECALL_WEIGHT
from anomaly.state import CASHIERS_MAX, LARGE_SALES_MAX, RECENT_MAX
from events.instant import DAY, HOUR, MINUTE
from events.score import Score
from tests.anomaly.trade import MONDAY, burst, trade, transaction, watch

CONFIG = DetectorConfig(key_groups=1)
NEXT_DAY = MONDAY + 15 * DAY


@pytest.fixture(scope="module")
def kept() -> tuple[dict[str, bytes], dict[int, bytes]]:
    detector = Detector(CONFIG)
    watch(detector, trade(2, days=15, daily=200))
    changes = detector.take_changes()
    return changes.shops, changes.groups


@pytest.fixture
def detector(kept: tuple[dict[str, bytes], dict[int, bytes]]) -> Detector:
    return Detector(CONFIG, *kept)


def _part(score: Score, kind: str) -> float:
    return sum(reason.share for reason in score.reasons if reason.kind == kind)


def _refund(number: int, hour: float, **more: object) -> object:
    return transaction(number, "REFUND", NEXT_DAY + int(hour * HOUR), **more)


def test_refunds_after_closing_carry_that_as_a_reason_and_page(detector: Detector) -> None:
    late_evening = burst(15, 4, hour=21.0)
    scores, pages = watch(detector, late_evening)
    assert _part(scores[-1], "hours") > 0.1
    assert any(page.status == "open" for page in pages)


def test_an_evening_with_sales_is_no_closed_shop(detector: Detector) -> None:
    evening = [transaction(n, at=NEXT_DAY + 21 * HOUR + n * MINUTE) for n in range(10)]
    scores, _ = watch(detector, [*evening, _refund(50, 21.3)])
    assert _part(scores[-1], "hours") == 0.0


def test_a_young_shop_has_no_known_hours() -> None:
    detector = Detector(CONFIG)
    watch(detector, trade(2, days=3))
    scores, _ = watch(detector, [transaction(1, "REFUND", MONDAY + 3 * DAY + 2 * HOUR)])
    assert _part(scores[-1], "hours") == 0.0


def test_refunds_just_under_the_limit_carry_that_as_a_reason(detector: Detector) -> None:
    under = burst(15, 5, total=9_700, approval_limit=10_000, cashier_id="c-0-1")
    scores, _ = watch(detector, under)
    assert _part(scores[-1], "limit") > 0.2


def test_a_recall_weighs_less_than_as_many_refunds_of_all_prices(
    kept: tuple[dict[str, bytes], dict[int, bytes]],
) -> None:
    told = []
    for prices in ([1_999] * 10, [1_999 + n for n in range(10)]):
        detector = Detector(CONFIG, *kept)
        refunds = [
            _refund(n, 13 + n / 60, total=price, original_transaction_id=f"r-{n}")
            for n, price in enumerate(prices)
        ]
        for refund in refunds[:-1]:
            detector.observe(refund)
        shop = detector._shops["shop-1"]
        shop.state.incidents.clear()
        for one in shop.state.recent:
            one.incident = ""
        scores, _ = watch(detector, refunds[-1:])
        told.append(scores[0])
    assert RECALL_WEIGHT < 1.0
    assert told[0].value < told[1].value


def test_where_receipts_are_never_sent_their_absence_says_nothing() -> None:
    detector = Detector(CONFIG)
    without = (
        transaction(n, one.type, one.occurred_at, one.total)
        for n, one in enumerate(trade(2, days=28, daily=400))
    )
    watch(detector, without)
    scores, pages = watch(detector, burst(28, 40))
    assert _part(scores[-1], "receipt") < 0.05
    assert "receipt" not in pages[0].summary


def test_a_returns_desk_is_learnt(detector: Detector) -> None:
    shop = detector._shops["shop-1"]
    before = shop.desk_part()
    for day in range(15, 36):
        for n in range(8):
            at = MONDAY + day * DAY + (9 + n) * HOUR
            one = transaction(100 * day + n, "REFUND", at, cashier_id=f"c-0-{day % 5}")
            detector.observe(one)
    for n in range(400):  # enough pairs that old ones fade
        shop.state.incidents.clear()
        at = MONDAY + (36 + n) * DAY
        detector.observe(transaction(9_000 + 2 * n, "REFUND", at, cashier_id="c-0-1"))
        detector.observe(transaction(9_001 + 2 * n, "REFUND", at + HOUR, cashier_id="c-0-1"))
    assert shop.desk_part() > 0.8 > before
    assert shop.state.pairs <= 301


def test_what_is_remembered_of_a_shop_is_bounded(detector: Detector) -> None:
    for n in range(400):
        detector.observe(
            transaction(n, at=NEXT_DAY + 9 * HOUR, total=10**6 + n, cashier_id=f"x{n}")
        )
        detector.observe(
            _refund(1_000 + n, 10.0, cashier_id=f"y{n}", card_token=f"k{n}", total=5 + n)
        )
    state = detector._shops["shop-1"].state
    assert len(state.recent) <= RECENT_MAX
    assert len(state.cashiers) <= CASHIERS_MAX
    assert len(state.large_sales) <= LARGE_SALES_MAX


def test_amounts_in_another_currency_are_not_compared(detector: Detector) -> None:
    shop = detector._shops["shop-1"]
    before = shop.usual_sale()
    detector.observe(transaction(1, at=NEXT_DAY + 10 * HOUR, total=10**9, currency="JPY"))
    scores, pages = watch(detector, [_refund(2, 10.5, total=10**9, currency="JPY")])
    assert shop.usual_sale() == before
    assert _part(scores[0], "amount") == 0.0
    assert pages == []


def test_what_is_usual_where_nothing_was_sold() -> None:
    detector = Detector(CONFIG)
    detector.observe(transaction(1, "REFUND", total=5_000))
    assert detector._shops["shop-1"].usual_sale() == pytest.approx(5_000)


def test_a_silence_of_weeks_counts_as_quiet_days_within_a_bound(detector: Detector) -> None:
    group = detector._groups[0]
    before = group.thresholds["amount"].state.seen
    detector.observe(transaction(1, at=NEXT_DAY + 90 * DAY))
    assert group.thresholds["amount"].state.seen == before + 15
    assert len(detector._shops["shop-1"].state.days) == 7
