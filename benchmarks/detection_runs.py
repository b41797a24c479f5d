"""One stream through the detector and through the known ways, each held against the labels."""

import heapq
from collections.abc import Callable, Sequence

import msgspec

from anomaly.detector import Detector, DetectorConfig
from benchmarks.detection_streams import Stream
from benchmarks.detection_ways import Alarm, Way
from consumer.evaluation import Judged, PageFacts, judge, measure
from events.instant import DAY, Instant
from events.page import EVIDENCE_MAX, Page
from events.transaction import Transaction

BUDGET = 0.10
"""False pages per shop-week that every way may have on the streams its threshold is set on."""

ALARMS_MAX = 2_000
"""Alarms of one stream that are remembered, the highest; twenty times what any budget allows."""

COOLDOWN: Instant = DAY
"""How long a shop's further alarms join a known way's page."""


class Heard(msgspec.Struct):
    """A known way's highest alarms on one stream, in order of arrival, and the stream's truth."""

    alarms: list[Alarm]
    stream: Stream

    def judged(self, threshold: float) -> Judged:
        """The pages at that threshold held against the labels."""
        stream = self.stream
        return judge(pages_at(self.alarms, threshold), stream.labels, stream.arrivals)


def without_transactions(stream: Stream) -> Stream:
    """What judging needs of `stream`."""
    return Stream([], stream.labels, stream.arrivals)


def hear(stream: Stream, make: Callable[[], Way]) -> Heard:
    """All of `stream` through a new way."""
    way = make()
    alarms = []
    for place, transaction in enumerate(stream.transactions):
        alarm = way.alarm(transaction)
        if alarm is not None:
            alarms.append((alarm.score, place, alarm))
    highest = heapq.nlargest(ALARMS_MAX, alarms, key=lambda one: one[:2])
    in_order = [alarm for _, _, alarm in sorted(highest, key=lambda one: one[1])]
    return Heard(in_order, without_transactions(stream))


def pages_at(alarms: Sequence[Alarm], threshold: float) -> list[PageFacts]:
    """What a person would have been sent: one page per shop and `COOLDOWN`, later alarms join."""
    opened: dict[str, tuple[Alarm, dict[str, None]]] = {}
    pages = []
    for alarm in alarms:
        if alarm.score < threshold:
            continue
        current = opened.get(alarm.shop_id)
        if current is None or alarm.at - current[0].at >= COOLDOWN:
            current = opened[alarm.shop_id] = (alarm, {})
            pages.append(current)
        current[1].update(dict.fromkeys(alarm.evidence))
    return [
        PageFacts(
            page_id=f"{number}",
            shop_id=alarm.shop_id,
            opened_at=alarm.at,
            reason="alarm",
            after_transaction_id=alarm.after,
            evidence=tuple(evidence)[:EVIDENCE_MAX],
        )
        for number, (alarm, evidence) in enumerate(pages)
    ]


def threshold_for(heard: Sequence[Heard], budget: float = BUDGET) -> float:
    """The lowest threshold at which the false pages of `heard`, pooled, stay within `budget`."""
    scores = sorted({alarm.score for one in heard for alarm in one.alarms})
    low, high = 0, len(scores)  # scores[high:] are known to be within the budget
    while low < high:
        middle = (low + high) // 2
        false = measure([one.judged(scores[middle]) for one in heard]).false_per_shop_week
        if (false or 0.0) <= budget:
            high = middle
        else:
            low = middle + 1
    return scores[high] if high < len(scores) else float("inf")


Change = Callable[[Transaction], Transaction]


def detect(stream: Stream, config: DetectorConfig, change: Change | None = None) -> list[Page]:
    """The pages that the detector opens on `stream`, as they stood last; `change` what it sees."""
    detector = Detector(config)
    latest: dict[str, Page] = {}
    for transaction in stream.transactions:
        seen = detector.observe(change(transaction) if change else transaction)
        if seen is not None:
            latest.update((page.page_id, page) for page in seen.pages)
    return list(latest.values())


def judge_detector(stream: Stream, config: DetectorConfig, change: Change | None = None) -> Judged:
    """The detector's pages on `stream` held against the labels."""
    facts = [facts_of(page) for page in detect(stream, config, change)]
    return judge(facts, stream.labels, stream.arrivals)


def facts_of(page: Page) -> PageFacts:
    """What is judged of a page."""
    return PageFacts(
        page.page_id,
        page.shop_id,
        page.opened_at,
        page.reason,
        page.after_transaction_id,
        page.evidence,
    )
