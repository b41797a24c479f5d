"""What outlives every process of a schedule, and what goes wrong on the way to it."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from events.score import Score
from events.transaction import Transaction
from sinks.memory import MemoryObjectStore
from sinks.retry import Transient
from tests.simulation.kernel import here, kernel

if TYPE_CHECKING:
    from events.page import Page
    from events.position import Position

START = 1_767_600_000
"""What epoch second the kernel's clock begins at."""
TABLE = "ledger"
APPLICATION = "tillwatch"


class Violation(Exception):  # noqa: N818 -- it says what happened
    """A promise was broken in the middle of a schedule."""


class Odds(msgspec.Struct):
    """How likely what goes wrong is, at each call to a service."""

    fail_before: float = 0.0
    fail_after: float = 0.0
    stall: float = 0.0
    crash: float = 0.0
    crash_daemon: float = 0.0
    freeze: float = 0.0
    stall_seconds_max: float = 150.0

    def none(self) -> None:
        """Nothing goes wrong any more."""
        self.fail_before = self.fail_after = self.stall = 0.0
        self.crash = self.crash_daemon = self.freeze = 0.0


class Document(msgspec.Struct, frozen=True):
    """What the index holds of a transaction."""

    transaction: Transaction
    score: Score | None
    position: "Position"


class Shared:
    """What outlives every process."""

    def __init__(self, odds: Odds, refused: frozenset[str]) -> None:
        self.odds = odds
        self.refused = refused
        self.store = MemoryObjectStore()
        self.documents: dict[str, Document] = {}
        self.pages: set[Page] = set()
        self.letters: Counter[tuple[str, str, str, str]] = Counter()
        self.tables: dict[tuple[str, str], dict[str, Any]] = {}
        self.sent: Counter[tuple[str, int]] = Counter()
        self.claims: dict[tuple[str, str], int] = {}
        self.violations: list[str] = []
        self.may_publish: Callable[[str], bool] = lambda _: True
        self.list_shards: Callable[[], list[dict[str, Any]]] = list
        self.lease_item: Callable[[str], dict[str, Any]] = lambda _: {}
        self.counts: Counter[str] = Counter()

    def call(self, name: str, effect: Callable[[], Any]) -> Any:
        """One request; raises Transient where it failed, before or after its effect."""
        the, odds = kernel(), self.odds
        self.counts["calls"] += 1
        self._mishap(name, "before")
        the.wait(the.random.expovariate(200.0))
        if odds.fail_before and the.random.random() < odds.fail_before:
            the.trace(f"{name}: fails")
            self.counts["failures"] += 1
            raise Transient(f"{name} failed")
        result = effect()
        if the.tracing:
            the.trace(f"{name}: done")
        the.wait(the.random.expovariate(200.0))
        self._mishap(name, "after")
        if odds.fail_after and the.random.random() < odds.fail_after:
            the.trace(f"{name}: done, and its answer is lost")
            self.counts["answers lost"] += 1
            raise Transient(f"{name} was not heard of")
        return result

    def violated(self, what: str) -> None:
        """Note that a promise was broken; the product may swallow what is raised here."""
        kernel().trace(f"VIOLATION {what}")
        self.violations.append(what)
        raise Violation(what)

    def _mishap(self, name: str, when: str) -> None:
        the, odds, process = kernel(), self.odds, here()
        draw = the.random.random()
        if draw < odds.crash:
            self.counts["crashes"] += 1
            process.kill(f"{when} {name}")
        draw -= odds.crash
        if draw < 0:
            return
        if draw < odds.crash_daemon:
            self.counts["daemon crashes"] += 1
            process.attributes["daemon"].process.kill(f"{when} {name} of {process.name}")
        draw -= odds.crash_daemon
        if 0 <= draw < odds.stall:
            seconds = the.random.uniform(0.5, odds.stall_seconds_max)
            the.trace(f"{name}: stalls {seconds:.1f} s {when} its effect")
            self.counts["stalls"] += 1
            the.wait(seconds)
        draw -= odds.stall
        if 0 <= draw < odds.freeze:
            seconds = the.random.uniform(5.0, odds.stall_seconds_max)
            self.counts["freezes"] += 1
            process.attributes["daemon"].freeze(seconds)
            the.wait(0.000001)
