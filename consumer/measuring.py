"""What the supervisor's metrics say, written to OpenSearch now and then, for its dashboards.

Best effort, and never in the data path: a thread of the supervisor's own, one small request a turn,
nothing tried twice. Where OpenSearch is away the figures of that time go into the next measurement,
but for the lag, which nobody saw. Alarms belong to the metrics.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from consumer.children import Children, Shard
from consumer.metrics import lag_of
from consumer.telemetry import Totals
from events.instant import Instant
from sinks.measurement import Measurement, bulk_body

DOCUMENTS_MAX = 2_000
"""Documents of one measurement; what is beyond is left out."""
WRITE_SECONDS_MAX = 5.0
"""How long one request may take."""
_END_SECONDS = WRITE_SECONDS_MAX + 1.0

_log = logging.getLogger("tillwatch.measuring")

Write = Callable[[Sequence[Measurement]], None]


class NotWritten(Exception):  # noqa: N818 -- what is told, not a fault of ours
    """OpenSearch did not take a measurement; the message may be shown to anyone."""


class Refused(NotWritten):
    """OpenSearch did not take some of its documents, and never will."""


class Measuring:
    """Measures every `seconds`, from the first turn after that, for as long as the context lasts.

    `write` raises NotWritten; anything else it raises is logged too, and stops nothing.
    """

    def __init__(
        self,
        write: Write,
        children: Children,
        *,
        worker: str,
        seconds: float,
        now: Callable[[], Instant] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self._write = write
        self._children = children
        self._worker = worker
        self._seconds = seconds
        self._now = now
        self._written: Mapping[str, Shard] = {}
        self._written_at = children.clock()
        self._failing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="measuring", daemon=True)

    def __enter__(self) -> Self:
        if self._seconds:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._seconds:
            self._thread.join(_END_SECONDS)

    def measure(self) -> None:
        """Write what happened since the last measurement that OpenSearch took."""
        shards = self._children.shards()
        clock = self._children.clock()
        made = measurements(
            shards,
            self._written,
            at=self._now(),
            clock=clock,
            seconds=clock - self._written_at,
            worker=self._worker,
        )
        if not made:
            return
        try:
            self._write(made[:DOCUMENTS_MAX])
        except Refused as error:
            self._written, self._written_at = shards, clock  # what was taken must not come again
            self._failed(str(error))
        except NotWritten as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 -- the worker goes on, whatever it is
            self._failed(type(error).__name__)
        else:
            self._written, self._written_at = shards, clock
            if self._failing:
                self._failing = False
                _log.info("measurements are written again")

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            self.measure()

    def _failed(self, why: str) -> None:
        """Said once, not at every turn."""
        if not self._failing:
            self._failing = True
            _log.warning(
                "measurements are not written, and the Operations dashboard stands still: %s", why
            )


def measurements(
    shards: Mapping[str, Shard],
    before: Mapping[str, Shard],
    *,
    at: Instant,
    clock: float,
    seconds: float,
    worker: str,
) -> list[Measurement]:
    """One of each shard that a child of this worker has, and one of each service tried again.

    `before` are the shards at the last measurement, `seconds` ago; `clock` is the time that the
    children's reports are aged by.
    """
    held: list[Measurement] = []
    retried: list[Measurement] = []
    for name, shard in shards.items():
        told = before[name].totals if name in before else Totals()
        same: dict[str, Any] = {
            "measured_at": at,
            "worker": worker,
            "shard_id": name,
            "seconds": seconds,
        }
        if shard.child is not None:
            held.append(Measurement(**same, **_figures(shard, told, clock)))
        for service, retries in shard.totals.retries.items():
            more = retries - told.retries.get(service, 0)
            if more:
                retried.append(Measurement(**same, service=service, retries=more))
    return [*held, *retried]


def _figures(shard: Shard, told: Totals, clock: float) -> dict[str, Any]:
    assert shard.child is not None  # noqa: S101 -- the caller looked
    report = shard.child.report
    since = clock - shard.child.received_at
    totals = shard.totals
    age = report.checkpoint_age
    return {
        "lag_seconds": lag_of(report, since),
        "checkpoint_age_seconds": None if age is None else age + since,
        "waiting_for": report.waiting_for,
        "waiting_pages": None if report.last is None else report.last.pages_waiting,
        "records": totals.records - told.records,
        "transactions": totals.transactions - told.transactions,
        "rejections": sum(totals.rejections.values()) - sum(told.rejections.values()),
    }


def to_opensearch(connected: Callable[[], Any]) -> Write:
    """Writes measurements with the client that `connected` makes, which it does with the first."""
    client: Any = None

    def write(made: Sequence[Measurement]) -> None:
        nonlocal client
        from sinks.opensearch_client import BodyRefused, bulk
        from sinks.retry import Transient

        if client is None:
            client = connected()
        try:
            answer = bulk(client, bulk_body(made))
        except (Transient, BodyRefused) as error:
            raise NotWritten(str(error)) from error
        refused = _refusal(answer)
        if refused is not None:
            raise Refused(refused)

    return write


def _refusal(answer: bytes) -> str | None:
    """What the first item says that OpenSearch refused; None where it took all."""
    try:
        said = msgspec.json.decode(answer, type=dict[str, Any])
    except msgspec.DecodeError:
        return "the answer is not JSON"
    if not said.get("errors"):
        return None
    errors = (item["index"].get("error") for item in said.get("items", []))
    return json.dumps(next((error for error in errors if error), "an item was refused"))
