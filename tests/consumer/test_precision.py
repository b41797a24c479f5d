"""Precision by reason, from answers as OpenSearch gives them."""

import pytest

from consumer.precision import by_reason, interval, of_pages, of_verdicts, together


def verdicts(**reasons: dict[str, int]) -> dict[str, object]:
    return {
        "aggregations": {
            "reasons": {
                "buckets": [
                    {
                        "key": reason,
                        "doc_count": sum(counts.values()),
                        "findings": {
                            "buckets": [
                                {"key": name, "doc_count": count} for name, count in counts.items()
                            ]
                        },
                    }
                    for reason, counts in reasons.items()
                ]
            }
        }
    }


def pages(**reasons: int) -> dict[str, object]:
    buckets = [{"key": reason, "doc_count": count} for reason, count in reasons.items()]
    return {"aggregations": {"reasons": {"buckets": buckets}}}


def test_precision_is_the_share_of_fraud_among_those_judged() -> None:
    said = verdicts(card={"fraud": 3, "ok": 1}, volume={"fraud": 1, "ok": 5, "policy": 4})
    volume, card, hours = by_reason(said, pages(volume=30, card=4, hours=2))
    assert (volume.reason, volume.pages, volume.judged, volume.precision) == ("volume", 30, 10, 0.1)
    assert (card.reason, card.fraud, card.ok, card.policy, card.precision) == (
        "card",
        3,
        1,
        0,
        0.75,
    )
    assert (hours.reason, hours.pages, hours.judged, hours.precision) == ("hours", 2, 0, None)
    every = together((volume, card, hours))
    assert (every.pages, every.judged, every.fraud, every.precision) == (36, 14, 4, 4 / 14)


def test_without_pages_those_are_counted_that_were_judged() -> None:
    (card,) = by_reason(verdicts(card={"policy": 2}))
    assert (card.pages, card.judged, card.precision) == (2, 2, 0.0)
    assert by_reason({}) == ()
    assert together(()).precision is None


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.213), (10, 10, 0.787, 1.0), (1, 2, 0.121, 0.879), (50, 100, 0.419, 0.581)],
)
def test_the_interval_is_wilson_s(hits: int, of: int, low: float, high: float) -> None:
    assert interval(hits, of) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))


def test_what_is_asked_names_time_and_shop_where_they_are_given() -> None:
    assert of_pages(None, None)["query"] == {"bool": {"filter": []}}
    filters = of_verdicts(1_767_600_000_000_000, "shop-1")["query"]["bool"]["filter"]
    assert filters == [
        {"range": {"given_at": {"gte": 1_767_600_000_000, "format": "epoch_millis"}}},
        {"term": {"shop_id": "shop-1"}},
    ]
