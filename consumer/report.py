"""What a backtest's report says, before it is written as a page: counts, sums and lists. Pure."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from consumer.shadow import Comparison
from consumer.told import Told, refunded
from events.instant import DAY, WEEK, Instant

SHOPS_SHOWN_MAX = 15
PAGES_SHOWN_MAX = 500
"""A report is for reading; the file of pages has all of them."""


class Scope(msgspec.Struct):
    """What the stream held, whatever was found in it."""

    transactions: int = 0
    refunds: int = 0
    rejections: int = 0
    repeated: int = 0
    shops: set[str] = msgspec.field(default_factory=set)
    start: Instant | None = None
    end: Instant | None = None

    def see(self, shop_id: str, at: Instant) -> None:
        """Note a transaction."""
        self.shops.add(shop_id)
        if self.start is None or at < self.start:
            self.start = at
        if self.end is None or at > self.end:
            self.end = at

    @property
    def shop_weeks(self) -> float:
        """All shops times the stream's length."""
        if self.start is None or self.end is None:
            return 0.0
        return len(self.shops) * (self.end - self.start) / WEEK


class ReasonRow(msgspec.Struct, frozen=True):
    """One reason's pages."""

    reason: str
    pages: int
    severe: int
    refunds: int
    refunded: dict[str, Decimal]


class Report(msgspec.Struct, frozen=True):
    """Everything that is told; pages in order of opening."""

    title: str
    model_version: str
    scope: Scope
    pages: tuple[Told, ...]
    reasons: tuple[ReasonRow, ...]
    weeks: tuple[tuple[Instant, dict[str, int]], ...]
    """The start of each week, and its pages by reason; quiet weeks too."""
    shops: tuple[tuple[str, int, dict[str, Decimal]], ...]
    """The shops with the most pages."""
    comparison: Comparison | None = None
    candidate: str = ""

    @property
    def pages_per_shop_week(self) -> float | None:
        """Pages of all kinds per shop and week."""
        weeks = self.scope.shop_weeks
        return len(self.pages) / weeks if weeks else None


SEVERE = 3
"""From this severity on a page is high or critical."""


def make_report(
    title: str,
    model_version: str,
    scope: Scope,
    pages: Sequence[Told],
    *,
    comparison: Comparison | None = None,
    candidate: str = "",
) -> Report:
    """Count and sum `pages` of a stream of `scope`."""
    ordered = tuple(sorted(pages, key=lambda page: (page.opened_at, page.page_id)))
    return Report(
        title=title,
        model_version=model_version,
        scope=scope,
        pages=ordered,
        reasons=_by_reason(ordered),
        weeks=_by_week(ordered, scope),
        shops=_by_shop(ordered),
        comparison=comparison,
        candidate=candidate,
    )


def _by_reason(pages: Sequence[Told]) -> tuple[ReasonRow, ...]:
    rows = []
    for reason, count in Counter(page.reason for page in pages).most_common():
        mine = [page for page in pages if page.reason == reason]
        severe = sum(page.severity >= SEVERE for page in mine)
        refunds = sum(page.refunds for page in mine)
        rows.append(ReasonRow(reason, count, severe, refunds, refunded(mine)))
    return tuple(sorted(rows, key=lambda row: (-row.pages, row.reason)))


def _by_week(pages: Sequence[Told], scope: Scope) -> tuple[tuple[Instant, dict[str, int]], ...]:
    if scope.start is None or scope.end is None:
        return ()
    first = scope.start - scope.start % DAY
    weeks: list[tuple[Instant, dict[str, int]]] = [
        (start, {}) for start in range(first, scope.end + 1, WEEK)
    ]
    for page in pages:
        place = min(max((page.opened_at - first) // WEEK, 0), len(weeks) - 1)
        counts = weeks[place][1]
        counts[page.reason] = counts.get(page.reason, 0) + 1
    return tuple(weeks)


def _by_shop(pages: Sequence[Told]) -> tuple[tuple[str, int, dict[str, Decimal]], ...]:
    counts = Counter(page.shop_id for page in pages)
    worst = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SHOPS_SHOWN_MAX]
    return tuple(
        (shop, count, refunded([page for page in pages if page.shop_id == shop]))
        for shop, count in worst
    )
