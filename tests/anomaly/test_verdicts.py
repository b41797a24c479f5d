"""What people say of pages moves thresholds: within bounds, once, and not for ever."""

from typing import get_args

import msgspec
import pytest

from anomaly.detector import Detector, DetectorConfig
from anomaly.state import FORMAT, VERDICT_PAGES_MAX, VERDICT_REASONS_MAX, ShopState
from anomaly.verdicts import HALF_LIFE, SHIFT_MAX, SHIFT_MIN, STEP, judge, shift
from events.instant import DAY
from events.page import Page
from events.transaction import Transaction
from events.verdict import Finding, Verdict
from tests.anomaly.trade import MONDAY, burst, trade, watch


def state() -> ShopState:
    return ShopState(FORMAT, 0, "GBP", born=0, clock=100 * DAY, day=100)


def said(finding: str, page: str = "p-1", reason: str = "volume", shop: str = "shop-1") -> Verdict:
    return msgspec.convert(
        {"page_id": page, "shop_id": shop, "reason": reason, "finding": finding, "given_at": 0},
        Verdict,
    )


def test_every_finding_has_a_step_of_its_own_direction() -> None:
    assert set(STEP) == set(get_args(Finding))
    assert STEP["fraud"] < 0.0 < STEP["ok"] < STEP["policy"]


@pytest.mark.parametrize(("finding", "bound"), [("ok", SHIFT_MAX), ("fraud", SHIFT_MIN)])
def test_no_number_of_verdicts_passes_the_bounds(finding: str, bound: float) -> None:
    shop = state()
    for number in range(40):
        assert judge(shop, said(finding, f"p-{number}"))
    assert shift(shop, "volume") == bound
    assert len(shop.verdicts["volume"].pages) == VERDICT_PAGES_MAX


def test_the_same_verdict_twice_counts_once_and_another_takes_its_place() -> None:
    shop = state()
    assert judge(shop, said("ok"))
    assert not judge(shop, said("ok"))
    assert shift(shop, "volume") == STEP["ok"]
    assert judge(shop, said("fraud"))
    assert shift(shop, "volume") == STEP["fraud"]


def test_a_verdict_is_about_its_reason_alone() -> None:
    shop = state()
    judge(shop, said("policy"))
    assert shift(shop, "volume") == STEP["policy"]
    assert shift(shop, "card") == 0.0


def test_half_of_it_is_gone_after_the_half_life() -> None:
    shop = state()
    judge(shop, said("policy"))
    shop.clock += HALF_LIFE
    assert shift(shop, "volume") == pytest.approx(STEP["policy"] / 2)
    judge(shop, said("policy", "p-2"))
    assert shift(shop, "volume") == pytest.approx(1.5 * STEP["policy"])


def test_reasons_are_bounded() -> None:
    shop = state()
    for number in range(VERDICT_REASONS_MAX + 3):
        judge(shop, said("ok", reason=f"reason {chr(97 + number)}"))
    assert len(shop.verdicts) == VERDICT_REASONS_MAX


def fortnight() -> list[Transaction]:
    return list(trade(5, days=15))


def pages_after(verdicts: list[Verdict], count: int) -> list[Page]:
    """The pages of a burst of `count` refunds on the 15th day, after `verdicts` on the 14th."""
    detector = Detector(DetectorConfig())
    usual = fortnight()
    before = [one for one in usual if one.occurred_at < MONDAY + 14 * DAY]
    watch(detector, before)
    moved = [detector.judge(one) for one in verdicts]
    assert all(moved)
    _, pages = watch(detector, burst(14, count))
    return [page for page in pages if page.status == "open"]


def smallest_that_pages(verdicts: list[Verdict]) -> int:
    return next(count for count in range(2, 80) if pages_after(verdicts, count))


def test_ok_asks_for_more_and_fraud_for_less() -> None:
    (first, *_) = pages_after([], 40)
    reason = first.reason
    ok = [said("ok", f"p-{n}", reason) for n in range(4)]
    fraud = [said("fraud", f"p-{n}", reason) for n in range(3)]
    plain = smallest_that_pages([])
    assert smallest_that_pages(fraud) <= plain < smallest_that_pages(ok)


def test_an_unknown_shop_is_left_unknown() -> None:
    detector = Detector(DetectorConfig())
    assert not detector.judge(said("ok", shop="nowhere"))
    assert detector.take_changes().shops == {}


def test_a_verdict_survives_a_restart_bit_for_bit() -> None:
    usual = fortnight()
    half = len(usual) // 2
    one = Detector(DetectorConfig())
    watch(one, usual[:half])
    one.judge(said("policy", reason="volume"))
    changes = one.take_changes()
    two = Detector(DetectorConfig(), changes.shops, changes.groups)
    rest = [*usual[half:], *burst(15, 30)]
    assert watch(one, rest) == watch(two, rest)
    assert one.take_changes() == two.take_changes()
