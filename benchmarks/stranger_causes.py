"""What was really behind a false page on another hand's streams."""

from collections import Counter
from typing import NamedTuple

from benchmarks.stranger_streams import Stranger
from consumer.evaluation import HIT_SHARE, PageFacts, judge
from events.instant import DAY

CAUSES = {
    "lift": "more of what comes back anyway: a holiday, a sale day, a looser policy",
    "web_batch": "returns by post, booked before the doors open",
    "recall": "a recalled article",
    "returner": "a customer who returns a lot",
    "wholesale": "a business brings dozens back",
    "price_point": "an article just under the limit",
    "evening_event": "an evening with open doors",
    "fraud": "thieves, but too few refunds of any one",
    "near": "usual refunds, on the day of one of these or of an outage",
    "chance": "usual refunds on a usual day: cashiers who differ, and chance",
}
"""By the tag of the refunds, in words."""

_LASTING = frozenset({"returner", "web_batch", "service_desk", "price_point"})
"""Occasions that go on for weeks: that one is on says nothing of a day."""


class FalsePage(NamedTuple):
    """Why a page about nothing was opened: one of `CAUSES`, and the reason that it gives itself."""

    cause: str
    reason: str


def false_pages(strange: Stranger, pages: list[PageFacts]) -> list[FalsePage]:
    """The false ones among `pages`, each with its cause; those of the warm-up are left out."""
    stream = strange.stream
    return [
        FalsePage(_cause(strange, page), page.reason)
        for page in pages
        if judge([page], stream.labels, stream.arrivals).false_pages
    ]


def _cause(strange: Stranger, page: PageFacts) -> str:
    """The tag that a quarter of the evidence has; else what happens about that day."""
    stolen = {label.transaction_id for label in strange.stream.labels}
    tags = Counter(
        "fraud" if one in stolen else strange.tags.get(one, "base") for one in page.evidence
    )
    del tags["base"]
    if tags:
        tag, count = tags.most_common(1)[0]
        if count >= HIT_SHARE * len(page.evidence):
            return tag
    start = strange.stream.arrivals.start or 0
    day = (page.opened_at - (start - start % DAY)) / DAY
    near = any(
        one.begins - 0.3 <= day <= one.ends + 0.7
        for one in strange.occasions
        if one.shop_id in {"*", page.shop_id} and one.kind not in _LASTING
    )
    return "near" if near else "chance"
