"""One stream through the detector without services, and through a candidate beside it."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice, tee

import msgspec

from anomaly.detector import DetectorConfig
from consumer.duplicates import Duplicates
from consumer.pipeline import Cut, Pipeline, batches
from consumer.report import Report, Scope, make_report
from consumer.scorer import Scorer
from consumer.settings import Settings
from consumer.shadow import compare
from consumer.told import Told
from events.batch import Batch
from events.page import Page
from events.parse import Parser
from events.pseudonym import Pseudonymizer
from events.record import Record


def default(name: str) -> int:
    """What a worker runs with where nobody says otherwise."""
    value: int = Settings.model_fields[name].default
    return value


class Totals(msgspec.Struct):
    """What a backtest counts, for its summary line."""

    records: int = 0
    transactions: int = 0
    refunds: int = 0
    rejections: int = 0
    repeated: int = 0
    pages: int = 0


def _count(totals: Totals, batch: Batch, repeated: int) -> None:
    totals.records += batch.records
    totals.transactions += len(batch.scored)
    totals.refunds += sum(1 for scored in batch.scored if scored.transaction.is_refund)
    totals.rejections += len(batch.rejections)
    totals.repeated += repeated
    totals.pages += sum(1 for page in batch.pages if page.status == "open")


class Run:
    """One stream through the live detector and, beside it, through a candidate that pages nobody.

    Both see the same records in the same batches, each with a pipeline of its own; `pages` are the
    live one's, as they stood last.
    """

    def __init__(self, live: DetectorConfig, candidate: DetectorConfig | None = None) -> None:
        self.totals = Totals()
        self.pages: dict[str, Page] = {}
        self._live = live
        self._candidate = candidate
        self._scope = Scope()
        self._shadow: dict[str, Page] = {}

    def cuts(self, records: Iterator[Record]) -> Iterator[Cut]:
        """The live detector's batches, as they are cut, each counted already."""
        # The candidate takes a batch as soon as the first has cut it: tee holds one batch.
        first, second = tee(records)
        shadow = None if self._candidate is None else _pipeline(self._candidate)
        for cut in batches(_pipeline(self._live), first):
            _count(self.totals, cut.batch, cut.repeated)
            for scored in cut.batch.scored:
                self._scope.see(scored.transaction.shop_id, scored.transaction.occurred_at)
            self.pages.update((page.page_id, page) for page in cut.batch.pages)
            again = islice(second, cut.batch.records)
            if shadow is None:
                deque(again, maxlen=0)
            else:
                for beside in batches(shadow, again):
                    self._shadow.update((page.page_id, page) for page in beside.batch.pages)
            yield cut

    def report(self, title: str, against: Sequence[Told] | None = None) -> Report:
        """What is to be told of it; `against` are the pages of another run of the same stream."""
        told = [Told.of(page) for page in self.pages.values()]
        scope, totals = self._scope, self.totals
        scope.transactions, scope.refunds = totals.transactions, totals.refunds
        scope.rejections, scope.repeated = totals.rejections, totals.repeated
        comparison, candidate = None, ""
        if against is not None:
            comparison, candidate = compare(against, told), "This run, beside the pages of another."
        elif self._candidate is not None:
            shadow = [Told.of(page) for page in self._shadow.values()]
            comparison = compare(told, shadow)
            candidate = f"The candidate: {msgspec.json.encode(self._candidate).decode()}"
        return make_report(
            title,
            self._live.model_version(),
            scope,
            told,
            comparison=comparison,
            candidate=candidate,
        )


def _pipeline(config: DetectorConfig) -> Pipeline:
    return Pipeline(
        Parser(Pseudonymizer(b"tillwatch backtest, no secret")).parse_all,
        Scorer(config),
        Duplicates(default("duplicates_remembered_min")),
        key_groups=config.key_groups,
        batch_records_max=default("batch_records_max"),
        batch_bytes_max=default("batch_bytes_max"),
    )
