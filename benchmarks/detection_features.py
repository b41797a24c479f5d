"""What the baselines know of a shop: plain counts and averages, twelve features of a refund."""

import math
from collections import Counter, deque

from events.instant import DAY, HOUR, MINUTE, Instant
from events.transaction import Transaction

WEEK: Instant = 7 * DAY
RECENT_MAX = 500
"""Refunds of a shop that are remembered, at most."""


class Seasons:
    """Refunds and sales of one shop by hour of the week, slowly forgotten.

    An hour's expectation is its own average, shrunk towards that hour of any day.
    """

    def __init__(self) -> None:
        self._sums = [0.0] * 24
        self._days = [0.0] * 24
        self._week_sums = [0.0] * 168
        self._weeks = [0.0] * 168

    def learn(self, hour: int, count: float) -> None:
        """Learn what a local hour since 1970 saw."""
        for sums, weights, place in (
            (self._sums, self._days, hour % 24),
            (self._week_sums, self._weeks, hour % 168),
        ):
            sums[place] = 0.98 * sums[place] + count
            weights[place] = 0.98 * weights[place] + 1.0

    def expected(self, hour: int) -> float:
        """What that hour usually sees."""
        day = (self._sums[hour % 24] + 0.1) / (self._days[hour % 24] + 1.0)
        return (self._week_sums[hour % 168] + 2.0 * day) / (self._weeks[hour % 168] + 2.0)


class Watched:
    """One shop as a baseline sees it; the hour that goes on is not learnt before it ends."""

    def __init__(self) -> None:
        self.refunds_by_hour = Seasons()
        self.sales_by_hour = Seasons()
        self.recent: deque[tuple[Instant, str | None, str | None, bool, str]] = deque(
            maxlen=RECENT_MAX
        )
        self.hour: int | None = None
        self.refunds = 0
        self.sales = 0
        self.members: list[str] = []
        self.mean = 0.0
        self.square = 1.0
        self.seen = 0

    def enter(self, transaction: Transaction) -> list[tuple[int, int, list[str]]]:
        """Pass on to the transaction's hour; the hours that ended: (hour, refunds, their ids)."""
        at = transaction.occurred_at + transaction.utc_offset_minutes * MINUTE
        hour = at // HOUR
        if self.hour is None:
            self.hour = hour
        ended = []
        while self.hour < hour:
            ended.append((self.hour, self.refunds, self.members))
            self.refunds_by_hour.learn(self.hour, self.refunds)
            self.sales_by_hour.learn(self.hour, self.sales)
            self.refunds = self.sales = 0
            self.members = []
            self.hour += 1
        return ended

    def see(self, transaction: Transaction) -> None:
        """Count a transaction of the hour that was entered; late ones count as of now."""
        if not transaction.is_refund:
            self.sales += 1
            return
        self.refunds += 1
        self.members.append(transaction.transaction_id)
        self.recent.append(
            (
                transaction.occurred_at,
                transaction.cashier_id,
                transaction.card_token,
                transaction.original_transaction_id is None,
                transaction.transaction_id,
            )
        )

    def learn_amount(self, total: int) -> None:
        """Learn the size of a refund, as a logarithm, with a memory of some 200."""
        size = math.log(max(total, 1))
        self.seen += 1
        rate = max(1.0 / self.seen, 0.005)
        self.mean += rate * (size - self.mean)
        self.square += rate * ((size - self.mean) ** 2 - self.square)

    def expected(self, hours: int) -> float:
        """Refunds that the last `hours`, the one that goes on included, usually see."""
        now = self.hour or 0
        return sum(self.refunds_by_hour.expected(hour) for hour in range(now - hours + 1, now + 1))

    def twelve(self, transaction: Transaction) -> dict[str, float]:
        """Twelve features of a refund that was just seen, within 0..1, in the shop's own terms."""
        at = transaction.occurred_at
        local = (at + transaction.utc_offset_minutes * MINUTE) % DAY / DAY
        burst = [one for one in self.recent if one[0] > at - 2 * HOUR]
        day = [one for one in self.recent if one[0] > at - DAY]
        week = [one for one in self.recent if one[0] > at - WEEK]
        cashiers = Counter(one[1] for one in week)
        mine = sum(one[1] == transaction.cashier_id for one in day)
        card = sum(one[2] == transaction.card_token for one in week)
        limit = transaction.approval_limit
        last = list(self.recent)[-10:]
        size = (math.log(max(transaction.total, 1)) - self.mean) / max(math.sqrt(self.square), 0.1)
        sold = self.sales_by_hour.expected(self.hour or 0)
        return {
            "amount": 1.0 / (1.0 + math.exp(-max(min(size, 30.0), -30.0))),
            "hour_sin": 0.5 + 0.5 * math.sin(2 * math.pi * local),
            "hour_cos": 0.5 + 0.5 * math.cos(2 * math.pi * local),
            "burst": _squash(len(burst), self.expected(2)),
            "day": _squash(len(day), self.expected(24)),
            "cashier_day": mine / (1.0 + mine) if transaction.cashier_id else 0.0,
            "cashier_week": cashiers[transaction.cashier_id] / len(week)
            if transaction.cashier_id
            else 0.0,
            "card": card / (1.0 + card) if transaction.card_token else 0.0,
            "bare": float(transaction.original_transaction_id is None),
            "limit": min(transaction.total / limit, 1.0) if limit else 0.0,
            "quiet": 1.0 / (1.0 + sold),
            "bare_lately": sum(one[3] for one in last) / len(last),
        }


def _squash(count: int, expected: float) -> float:
    return count / (count + expected + 0.5)
