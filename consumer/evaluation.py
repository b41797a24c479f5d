"""How good pages are, given labels of what was fraud: hits, false pages, latency, money. Pure.

A page is a *hit* when at least `HIT_SHARE` of its evidence belongs to one campaign of its shop; a
further hit on a campaign within `DUPLICATE_WITHIN` of its last hit that was no duplicate is a
*duplicate*; everything else is *false*.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import ceil

import msgspec

from events.instant import DAY, WEEK, Instant, from_datetime
from events.transaction import Transaction

HIT_SHARE = 0.25
"""Part of a page's evidence that has to be of one campaign for the page to be a hit."""

DUPLICATE_WITHIN: Instant = DAY
"""A further hit on the same campaign counts as the same one for so long."""

WARM_UP_DAYS = 14
"""Days of a stream whose pages are not judged: the detector knows nobody yet."""


class Label(msgspec.Struct, frozen=True):
    """One fraudulent refund, as `tillwatch samples` writes it; further fields are ignored."""

    transaction_id: str
    shop_id: str
    campaign_id: str
    kind: str
    occurred_at: datetime | None = None


class PageFacts(msgspec.Struct, frozen=True):
    """What is judged of a page as it stood last; `after_transaction_id` opened it."""

    page_id: str
    shop_id: str
    opened_at: Instant
    reason: str
    after_transaction_id: str
    evidence: tuple[str, ...]


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """A refund's first arrival: its place in the stream, its event time, its minor units."""

    place: int
    occurred_at: Instant
    total: int


class Arrivals(msgspec.Struct):
    """What the stream says, whatever the detector thinks of it.

    `refunds` by transaction id; `first_seen` the event time of each shop's first transaction;
    `start` and `end` the first and last event time of all.
    """

    refunds: dict[str, Arrived] = {}
    first_seen: dict[str, Instant] = {}
    start: Instant | None = None
    end: Instant = 0

    def see(self, place: int, transaction: Transaction) -> None:
        """Note a transaction; a refund that comes again is the same one."""
        at, shop_id = transaction.occurred_at, transaction.shop_id
        if at < self.first_seen.get(shop_id, at + 1):
            self.first_seen[shop_id] = at
        if self.start is None or at < self.start:
            self.start = at
        self.end = max(self.end, at)
        if transaction.is_refund:
            self.refunds.setdefault(
                transaction.transaction_id, Arrived(place, at, transaction.total)
            )


class CampaignFound(msgspec.Struct, frozen=True):
    """One campaign and what became of it.

    `refunds_before` are its refunds that had arrived when its first page opened, and `missed` their
    money (all of it where no page came); `stolen` is the campaign's money, minor units.
    """

    campaign_id: str
    kind: str
    shop_id: str
    refunds: int
    stolen: int
    found: bool
    reason: str | None
    refunds_before: int
    missed: int


class Judged(msgspec.Struct, frozen=True):
    """One stream's pages held against its labels; several can be pooled."""

    campaigns: tuple[CampaignFound, ...]
    hits: int
    duplicates: int
    false_by_reason: dict[str, int]
    shop_weeks: float

    @property
    def false_pages(self) -> int:
        """Pages about nothing."""
        return sum(self.false_by_reason.values())


class Measures(msgspec.Struct, frozen=True):
    """The figures of one or several streams; None where there is nothing to divide by.

    Latencies are counts of a found campaign's refunds that had arrived at its first page, that of
    the last one included. `missed_value` is a share of money, all currencies one for one.
    """

    campaigns: int
    found: int
    recall: float | None
    recall_by_kind: dict[str, float]
    strict_precision: float | None
    pages: int
    hits: int
    duplicates: int
    false_pages: int
    false_by_reason: dict[str, int]
    shop_weeks: float
    pages_per_shop_week: float | None
    false_per_shop_week: float | None
    latency_median: float | None
    latency_p90: float | None
    stolen: int
    missed_value: float | None
    saved: int


def of_labels(labels: Iterable[Label]) -> Arrivals:
    """What labels alone say of a stream that is not at hand: times stand for places, no money."""
    arrivals = Arrivals()
    for label in labels:
        if label.occurred_at is not None:
            at = from_datetime(label.occurred_at)
            arrivals.refunds.setdefault(label.transaction_id, Arrived(at, at, 0))
            arrivals.start = at if arrivals.start is None else min(at, arrivals.start)
    return arrivals


def judge(
    pages: Iterable[PageFacts],
    labels: Iterable[Label],
    arrivals: Arrivals,
    *,
    warm_up: Instant = WARM_UP_DAYS * DAY,
) -> Judged:
    """Hold `pages` against `labels`.

    Pages that opened in the `warm_up` from the stream's first midnight are left out, and so are
    campaigns that began in it. Labels of refunds that the stream does not hold are ignored.
    """
    start = arrivals.start or 0
    begin = start - start % DAY + warm_up
    campaigns = _campaigns(labels, arrivals)
    campaign_of = {one: key for key, stolen in campaigns.items() for one in stolen.refunds}
    first_hit: dict[_Key, PageFacts] = {}
    last_hit: dict[_Key, Instant] = {}
    hits = duplicates = 0
    false = Counter[str]()
    # By place in the stream, as they opened: a page's time may be that of a late record.
    for page in sorted(pages, key=lambda one: _place(arrivals, one)):
        judged = page.opened_at >= begin
        key = _campaign_hit(page, campaign_of)
        if key is None:
            false[page.reason] += judged
        elif key in last_hit and abs(page.opened_at - last_hit[key]) < DUPLICATE_WITHIN:
            duplicates += judged
        else:
            hits += judged
            last_hit[key] = page.opened_at
            first_hit.setdefault(key, page)
    return Judged(
        campaigns=tuple(
            _outcome(key, stolen, first_hit.get(key), arrivals)
            for key, stolen in campaigns.items()
            if stolen.began_at >= begin
        ),
        hits=hits,
        duplicates=duplicates,
        false_by_reason={reason: count for reason, count in sorted(false.items()) if count},
        shop_weeks=sum(
            max(arrivals.end - max(first, begin), 0) for first in arrivals.first_seen.values()
        )
        / WEEK,
    )


def measure(streams: Sequence[Judged]) -> Measures:
    """The measures of `streams` pooled: campaigns and pages of all of them, counted together."""
    campaigns = [one for judged in streams for one in judged.campaigns]
    found = [one for one in campaigns if one.found]
    by_kind: dict[str, list[bool]] = {}
    for one in campaigns:
        by_kind.setdefault(one.kind, []).append(one.found)
    false = Counter[str]()
    for judged in streams:
        false.update(judged.false_by_reason)
    hits, duplicates = (sum(getattr(j, name) for j in streams) for name in ("hits", "duplicates"))
    pages = hits + duplicates + false.total()
    weeks = sum(judged.shop_weeks for judged in streams)
    stolen, missed = (sum(getattr(one, name) for one in campaigns) for name in ("stolen", "missed"))
    latencies = sorted(one.refunds_before for one in found)
    return Measures(
        campaigns=len(campaigns),
        found=len(found),
        recall=_ratio(len(found), len(campaigns)),
        recall_by_kind={kind: sum(all_) / len(all_) for kind, all_ in sorted(by_kind.items())},
        strict_precision=_ratio(len(found), len(found) + false.total()),
        pages=pages,
        hits=hits,
        duplicates=duplicates,
        false_pages=false.total(),
        false_by_reason=dict(sorted(false.items())),
        shop_weeks=weeks,
        pages_per_shop_week=_ratio(pages, weeks),
        false_per_shop_week=_ratio(false.total(), weeks),
        latency_median=quantile(latencies, 0.5),
        latency_p90=quantile(latencies, 0.9),
        stolen=stolen,
        missed_value=_ratio(missed, stolen),
        saved=stolen - missed,
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest of `ordered` values that `share` of them do not exceed; None of nothing."""
    return ordered[max(ceil(share * len(ordered)), 1) - 1] if ordered else None


_Key = tuple[str, str]
"""A campaign: shop and campaign id."""


class _Stolen(msgspec.Struct):
    """A campaign's refunds in the stream, in no order."""

    kind: str
    refunds: dict[str, Arrived]

    @property
    def began_at(self) -> Instant:
        return min(one.occurred_at for one in self.refunds.values())


def _campaigns(labels: Iterable[Label], arrivals: Arrivals) -> dict[_Key, _Stolen]:
    campaigns: dict[_Key, _Stolen] = {}
    for label in labels:
        arrived = arrivals.refunds.get(label.transaction_id)
        if arrived is not None:
            key = (label.shop_id, label.campaign_id)
            campaign = campaigns.setdefault(key, _Stolen(label.kind, {}))
            campaign.refunds[label.transaction_id] = arrived
    return campaigns


def _campaign_hit(page: PageFacts, campaign_of: Mapping[str, _Key]) -> _Key | None:
    """The campaign of the page's shop that most of its evidence belongs to, if it is enough."""
    keys = [campaign_of.get(one) for one in page.evidence]
    counts = Counter(key for key in keys if key is not None and key[0] == page.shop_id)
    if not counts:
        return None
    key, count = counts.most_common(1)[0]
    return key if count >= HIT_SHARE * len(page.evidence) else None


def _place(arrivals: Arrivals, page: PageFacts) -> int:
    """Where in the stream the page opened; by its time where places are times (`of_labels`)."""
    after = arrivals.refunds.get(page.after_transaction_id)
    return page.opened_at if after is None else after.place


def _outcome(
    key: _Key, stolen: _Stolen, page: PageFacts | None, arrivals: Arrivals
) -> CampaignFound:
    total = sum(one.total for one in stolen.refunds.values())
    before = list(stolen.refunds.values())
    if page is not None:
        # A page that opened before the thief began cannot have told of him: it does so with the
        # first of his refunds that it took in.
        told = [stolen.refunds[one].place for one in page.evidence if one in stolen.refunds]
        opened = max(_place(arrivals, page), min(told))
        before = [one for one in before if one.place <= opened]
    return CampaignFound(
        campaign_id=key[1],
        kind=stolen.kind,
        shop_id=key[0],
        refunds=len(stolen.refunds),
        stolen=total,
        found=page is not None,
        reason=None if page is None else page.reason,
        refunds_before=len(before),
        missed=sum(one.total for one in before),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
