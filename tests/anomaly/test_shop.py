"""What a shop learns beside its estimators, seen through the detector."""

import msgspec
import pytest

from anomaly.detector import Detector, DetectorConfig
from anomaly.state import CASHIERS_MAX, LARGE_SALES_MAX, RECENT_MAX
from anomaly.tenders import SAME_TENDER
from events.instant import DAY, HOUR, MINUTE
from events.score import Score
from events.transaction import Line, Transaction
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


def _refund(number: int, hour: float, **more: object) -> Transaction:
    return transaction(number, "REFUND", NEXT_DAY + int(hour * HOUR), **more)


def test_refunds_after_closing_carry_that_as_a_reason_and_page(detector: Detector) -> None:
    late_evening = burst(15, 4, hour=21.0)
    scores, pages = watch(detector, late_evening)
    assert max(_part(score, "hours") for score in scores) > 0.1
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
    scores, pages = watch(detector, under)
    assert pages[0].reason == "cashier"
    assert _part(scores[len(pages[0].evidence) - 1], "limit") > 0.2


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
        scores, pages = watch(detector, refunds)
        told.append((max(score.value for score in scores), len(pages)))
    assert told[0][0] < 0.95 < told[1][0]
    assert told[0][1] == 0 < told[1][1]


def test_a_recall_is_known_by_its_article_whatever_its_price(
    kept: tuple[dict[str, bytes], dict[int, bytes]],
) -> None:
    told = []
    for articles in (["7"] * 10, [f"{n}" for n in range(10)], [None] * 10):
        detector = Detector(CONFIG, *kept)
        refunds = [
            _refund(
                n,
                13 + n / 60,
                total=1_999 + n,
                original_transaction_id=f"r-{n}",
                lines=(Line(), Line(item_id=article)),
            )
            for n, article in enumerate(articles)
        ]
        scores, _ = watch(detector, refunds)
        told.append(max(score.value for score in scores))
    assert told[0] < 0.95 < told[1] == told[2]


def _returns(*, elsewhere: bool) -> list[Transaction]:
    """Twelve sales by card, and their return with receipt, to the card that paid or another."""
    sales = [
        transaction(n, at=NEXT_DAY + 9 * HOUR + n * MINUTE, total=3_000 + n, card_token=f"k-{n}")
        for n in range(12)
    ]
    return sales + [
        _refund(
            100 + n,
            11 + n / 2,
            total=3_000 + n,
            original_transaction_id=f"shop-1-{n}",
            card_token=f"other-{n}" if elsewhere else f"k-{n}",
            cashier_id=f"c-0-{n % 5}",
        )
        for n in range(12)
    ]


def test_money_that_goes_another_way_than_it_came_is_evidence_and_is_told(
    kept: tuple[dict[str, bytes], dict[int, bytes]],
) -> None:
    told = []
    for elsewhere, without in ((False, ()), (True, ()), (True, ("tender",))):
        detector = Detector(DetectorConfig(key_groups=1, without=without), *kept)
        detector._shops["shop-1"].tenders.learn("r", SAME_TENDER, 100.0)
        told.append(watch(detector, _returns(elsewhere=elsewhere))[1])
    assert told[0] == told[2] == []
    assert told[1][0].reason == "receipt"
    assert "paid back another way than the sale was paid" in told[1][-1].summary


def test_a_card_is_the_one_that_paid_under_the_name_that_it_had_before(
    detector: Detector,
) -> None:
    for one in _returns(elsewhere=False):
        detector.observe(one)
    marks = [one.marks for one in detector._shops["shop-1"].state.recent[-12:]]
    assert marks.count(SAME_TENDER) > 8
    renamed = [
        msgspec.structs.replace(
            one, transaction_id=f"again-{n}", card_token=f"n-{n}", card_before=one.card_token
        )
        for n, one in enumerate(_returns(elsewhere=False)[12:])
    ]
    for one in renamed:
        detector.observe(one)
    again = [one.marks for one in detector._shops["shop-1"].state.recent[-12:]]
    assert again == marks


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


def test_days_with_a_page_do_not_move_the_threshold(detector: Detector) -> None:
    group = detector._groups[0]
    before = group.threshold.state.seen
    detector.observe(transaction(1, at=NEXT_DAY + HOUR))
    assert group.threshold.state.seen == before + 1
    _, pages = watch(detector, burst(15, 12, cashier_id="c-0-1"))
    assert pages
    detector.observe(transaction(2, at=NEXT_DAY + 26 * HOUR))
    assert group.threshold.state.seen == before + 1


def test_what_is_held_back_and_comes_at_once_is_no_burst(
    kept: tuple[dict[str, bytes], dict[int, bytes]],
) -> None:
    """One refund an hour is usual, ten in one hour are not, though they come together."""
    opened = []
    for gap in (HOUR, MINUTE):
        detector = Detector(CONFIG, *kept)
        now = NEXT_DAY + 18 * HOUR
        detector.observe(transaction(1, at=now))
        late = [
            _refund(10 + n, 8.0 + n * gap / HOUR, total=2_000 + n, original_transaction_id=f"r-{n}")
            for n in range(10)
        ]
        _, pages = watch(detector, late)
        opened.append(len(pages))
    assert opened[0] == 0 < opened[1]
