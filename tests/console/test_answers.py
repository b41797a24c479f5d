import pytest

from console import answers, queries
from console.live import Json, ShopCount
from console.windows import WINDOWS, Window
from events.instant import DAY, HOUR, MINUTE, SECOND, WEEK, Instant
from tests.console.scene import NOW

EMPTY: Json = {"hits": {"total": {"value": 0}, "hits": []}, "timed_out": False, "_shards": {}}


def times(*instants: Instant) -> Json:
    return {"hits": {"hits": [{"fields": {"occurred_at": [str(at // 1_000)]}} for at in instants]}}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_a_window_begins_at_the_edge_of_a_bucket_and_covers_its_span(window: Window) -> None:
    start = window.start(NOW)
    assert start % window.bucket == 0
    assert window.span <= NOW - start < window.span + window.bucket
    assert HOUR % window.bucket == 0
    assert window.bucket % MINUTE == 0


def test_now_is_the_newest_time_with_company() -> None:
    crowd = [NOW - second * SECOND for second in range(8)]
    assert answers.newest(times(*crowd)) == answers.Newest(NOW // 1_000 * 1_000, 0)
    ahead = answers.newest(times(NOW + DAY, NOW + 5 * HOUR, *crowd))
    assert ahead == answers.Newest(NOW, 2)


def test_now_is_the_newest_time_where_all_are_sparse() -> None:
    sparse = [NOW - hour * HOUR for hour in range(10)]
    assert answers.newest(times(*sparse)) == answers.Newest(NOW, 0)
    assert answers.newest(times(NOW)) == answers.Newest(NOW, 0)


def test_an_index_that_does_not_exist_yet_is_empty() -> None:
    assert answers.newest(EMPTY) is None
    found = answers.totals(EMPTY, ShopCount(0, 0))
    assert (found.transactions, found.refund_rate, found.normal_rate) == (0, None, None)
    assert answers.rates(EMPTY, WINDOWS["3h"], NOW).at == ()
    assert answers.shop_counts(EMPTY) == {}
    assert answers.pages(EMPTY) == answers.rejections(EMPTY) == answers.shards(EMPTY) == ()


def test_rates_are_per_minute_of_the_time_each_bucket_has_had() -> None:
    window = WINDOWS["24h"]
    begun = NOW - NOW % window.bucket
    buckets = [
        {"key": start // 1_000, "doc_count": count, "refunds": {"doc_count": refunds}}
        for start, count, refunds in ((begun - window.bucket, 50, 5), (begun, 12, 3))
    ]
    answer = {"aggregations": {"buckets": {"buckets": buckets}}}
    found = answers.rates(answer, window, begun + 4 * MINUTE)
    assert found.transactions == (5.0, 3.0)
    assert found.refunds == (0.5, 0.75)
    assert found.at == ((begun - window.bucket) // SECOND, begun // SECOND)
    assert found.bucket_seconds == 600
    early = answers.rates(answer, window, begun + 30 * SECOND)
    assert early.transactions == (5.0,), "half a minute says nothing yet"


def test_times_read_as_utc_with_milliseconds() -> None:
    assert answers.iso("2026-03-02T17:40:30.5+01:00") == "2026-03-02T16:40:30.500Z"
    assert answers.iso("2026-03-02T16:40:30Z") == "2026-03-02T16:40:30.000Z"
    assert answers.iso(NOW // 1_000) == "2026-03-02T16:40:30.000Z"


def test_partial_answers_are_told_apart() -> None:
    assert answers.complete({"timed_out": False, "_shards": {"failed": 0}})
    assert not answers.complete({"timed_out": True, "_shards": {"failed": 0}})
    assert not answers.complete({"timed_out": False, "_shards": {"failed": 1}})


def test_every_search_is_bounded_in_time_and_size() -> None:
    window = WINDOWS["7d"]
    bodies = [
        queries.newest(),
        queries.window(window, NOW),
        queries.normal(window, NOW),
        queries.open_pages(),
        queries.closed_pages(),
        queries.rejections(),
        queries.operations(),
        queries.page("p"),
        queries.evidence(tuple(str(number) for number in range(100))),
    ]
    for body in bodies:
        assert body["timeout"] == queries.SEARCH_TIMEOUT
        assert body["size"] <= 64
    assert len(bodies[-1]["query"]["terms"]["transaction_id"]) == 25


def test_normal_ends_where_the_window_begins() -> None:
    window = WINDOWS["3h"]
    (inside,) = queries.window(window, NOW)["query"]["bool"]["filter"]
    (before,) = queries.normal(window, NOW)["query"]["bool"]["filter"]
    bounds = before["range"]["occurred_at"]
    assert bounds["lt"] == inside["range"]["occurred_at"]["gte"]
    assert (bounds["lt"] - bounds["gte"]) * 1_000 == 4 * WEEK
