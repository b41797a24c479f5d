from anomaly.detector import Detector, DetectorConfig
from events.instant import DAY, HOUR, MINUTE
from events.transaction import Transaction

MONDAY = 20_458 * DAY + 9 * HOUR


def _transaction(number: int, kind: str, at: int, total: int = 2000) -> Transaction:
    return Transaction(f"t-{number}", "shop-1", kind, at, 0, "GBP", total)


def test_an_obvious_burst_pages_once() -> None:
    detector = Detector(DetectorConfig())
    number = 0
    pages = []
    for day in range(20):
        for minute in range(0, 9 * 60, 4):
            number += 1
            kind = "REFUND" if number % 25 == 0 else "SALE"
            seen = detector.observe(
                _transaction(number, kind, MONDAY + day * DAY + minute * MINUTE)
            )
            pages += seen.pages if seen else ()
    assert pages == []
    for minute in range(20):
        number += 1
        at = MONDAY + 20 * DAY + (60 + minute) * MINUTE
        seen = detector.observe(_transaction(number, "REFUND", at, 5000))
        pages += seen.pages if seen else ()
    assert [page.status for page in pages].count("open") == 1
    assert len({page.page_id for page in pages}) == 1
