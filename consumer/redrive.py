"""A dead letter back onto the stream, once, whoever asks and however often."""

import threading
import uuid
from collections.abc import Callable
from enum import Enum
from typing import Final

import msgspec
from botocore.exceptions import ClientError

from consumer.correction import Correction, CorrectionError
from consumer.fingerprint import Fingerprint
from consumer.redriven import STAGES_UNSEEN, marked
from events.instant import SECOND, Instant
from events.parse import Parser
from events.record import Record
from events.rejection import Rejection
from events.suppression import Lift, Suppression
from events.transaction import Transaction
from events.verdict import Verdict
from sinks.deadline import Deadline
from sinks.kinesis import CLOCK_MARGIN, StreamWriter
from sinks.letter import UNREADABLE, Letter
from sinks.object_store import ObjectStore
from sinks.redrive_ledger import Entry, RedriveLedger
from sinks.sink import Stopped
from sinks.standing import StandingError, StandingTransactions

PUT_SECONDS_MAX: Final = 60.0
"""How long after its claim a put may still begin."""

CLAIM_SECONDS_MAX: Final = 240.0
"""How long a claim is taken for somebody at work: longer than any put of theirs can last.

That is PUT_SECONDS_MAX, and the deadlines of the request that was begun last (connecting 5 s,
reading 30 s), and the look after it; the rest is for two machines' clocks.
"""

_REFUSED: Final = frozenset(
    {"InvalidArgumentException", "SerializationException", "ValidationException"}
)


class Fate(Enum):
    """What became of a letter; the first two let it go from the queue."""

    REDRIVEN = "redriven"
    ALREADY = "already redriven"
    READY = "ready"
    """A dry run: it would go."""
    KEPT = "kept"


GONE: Final = frozenset({Fate.REDRIVEN, Fate.ALREADY})


class Outcome(msgspec.Struct, frozen=True):
    """What became of one letter, and why where it stays."""

    fate: Fate
    why: str = ""


class Places(msgspec.Struct, frozen=True):
    """What a letter can come from and go to."""

    store: ObjectStore
    stream: StreamWriter
    ledger: RedriveLedger
    standing: StandingTransactions


class Choices(msgspec.Struct, frozen=True):
    """What the person at the command line asked for.

    `force` puts records that would be rejected again, or whose transaction stands already; `again`
    puts records of which nobody can tell any more whether they were put before.
    """

    correction: Correction
    record: bytes | None = None
    force: bool = False
    again: bool = False
    dry_run: bool = False


class LetterKept(Exception):  # noqa: N818 -- an outcome, not an error
    """The letter stays; the message says why."""


def record_of(letter: Letter, store: ObjectStore) -> bytes:
    """The record's bytes, wherever they are.

    Raises:
        LetterKept: they are gone.
    """
    if letter.data is not None:
        return letter.data
    try:
        return store.get(letter.data_key or "")
    except KeyError:
        raise LetterKept(f"its bytes are no longer in the bucket ({letter.data_key})") from None


class Redriver:
    """Brings letters back, each record once, whoever asks and however often.

    Most go onto the stream, as a record of their shop. The order is: validate with the consumer's
    own parser; claim the record in the ledger; see whether the transaction stands already; put;
    note in the ledger where it is; only then may the caller remove the letter. Who dies between
    two of these steps leaves a claim, and the next one looks through the stream from that claim
    on before it puts anything.

    What stands in the dead-letter queue stands nowhere else (sinks/prepared.py), so every letter
    goes the same way; one whose transaction id is remembered carries a mark (consumer/redriven.py).
    """

    def __init__(
        self,
        parser: Parser,
        fingerprint: Fingerprint,
        places: Places,
        *,
        clock: Callable[[], Instant],
        stop: threading.Event,
        new_claim: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._parser = parser
        self._fingerprint = fingerprint
        self._places = places
        self._clock = clock
        self._stop = stop
        self._new_claim = new_claim

    def redrive(self, letter: Letter, choices: Choices) -> Outcome:
        """Bring `letter` back.

        Raises:
            Stopped: a service did not answer in time; asking again finds out how far it came.
            ClientError, BotoCoreError, StandingError: a service refuses.
        """
        try:
            if letter.stage == UNREADABLE:
                return Outcome(Fate.KEPT, "it is no letter of this version's")
            return self._onto_the_stream(letter, choices)
        except (LetterKept, CorrectionError) as kept:
            return Outcome(Fate.KEPT, str(kept))

    def _onto_the_stream(self, letter: Letter, choices: Choices) -> Outcome:
        before = self._places.ledger.entry(letter.record_id)
        went = before is not None and (
            before.placed is not None or self._found(letter, before, choices)
        )
        if went and not choices.correction and choices.record is None:
            return Outcome(Fate.ALREADY)
        data = self._corrected(letter, choices)
        key, parsed = self._checked(letter, data, choices)
        if before is not None and went:
            if before.digest != self._fingerprint.of(data):
                raise LetterKept(
                    "its record went onto the stream before, with other content: see what came of"
                    " that; without a correction, redrive only removes this letter"
                )
            return Outcome(Fate.ALREADY)
        if choices.dry_run:
            self._check_standing(letter, parsed, choices)
            return Outcome(Fate.READY)
        self._put(letter, key, data, parsed, before, choices)
        return Outcome(Fate.REDRIVEN)

    def _corrected(self, letter: Letter, choices: Choices) -> bytes:
        base = record_of(letter, self._places.store) if choices.record is None else choices.record
        data = choices.correction.apply(base)
        if letter.stage in STAGES_UNSEEN:
            return data
        try:
            return marked(data, letter.record_id)
        except (ValueError, msgspec.DecodeError):
            raise LetterKept(
                "it is no JSON object, so it cannot be marked as coming back"
            ) from None

    def _checked(
        self, letter: Letter, data: bytes, choices: Choices
    ) -> tuple[str, Transaction | None]:
        """The partition key, and the transaction, which only a forced record may be without."""
        parsed = self._parse(letter, data, self._clock())
        if isinstance(parsed, Verdict | Suppression | Lift):
            return parsed.shop_id, None
        if isinstance(parsed, Rejection):
            if not choices.force:
                raise LetterKept(f"it would be rejected again: {parsed.reason} ({parsed.detail})")
            return parsed.shop_id or letter.shop_id or "unknown", None
        if letter.stage == "deduplicate" and not choices.force:
            old = self._parse(letter, record_of(letter, self._places.store), self._clock())
            if isinstance(old, Transaction) and old.transaction_id == parsed.transaction_id:
                raise LetterKept(
                    "its transaction_id is another transaction's: give it one of its own with"
                    " --fix transaction_id=…"
                )
        return parsed.shop_id, parsed

    def _found(self, letter: Letter, before: Entry, choices: Choices) -> bool:
        """Whether what was claimed and never noted as sent is on the stream all the same.

        Raises:
            LetterKept: somebody is at it, or nobody can tell any more.
        """
        now = self._clock()
        if before.claimed_at + int(CLAIM_SECONDS_MAX * SECOND) > now:
            raise LetterKept(
                "somebody is putting it just now, or died doing so: try in five minutes"
            )
        if (cannot := self._cannot_look(before, now)) is not None:
            if choices.again:
                return False
            raise LetterKept(f"{cannot}: nobody can tell; --again puts it, perhaps a second time")
        placed = self._places.stream.find(
            before.key,
            lambda data: self._fingerprint.of(data) == before.digest,
            before.claimed_at,
            before.claimed_at + int(CLAIM_SECONDS_MAX * SECOND),
        )
        if placed is not None and not choices.dry_run:
            self._places.ledger.mark_sent(letter.record_id, before.claim, placed)
        return placed is not None

    def _cannot_look(self, before: Entry, now: Instant) -> str | None:
        """Why the stream cannot be asked whether it has what was claimed; None where it can."""
        if not self._fingerprint.can_compare(before.digest):
            return "it was put under another pseudonym key, if it was"
        if before.claimed_at - CLOCK_MARGIN < now - self._places.stream.keeps():
            return "it was put longer ago than the stream remembers, if it was"
        return None

    def _put(
        self,
        letter: Letter,
        key: str,
        data: bytes,
        parsed: Transaction | None,
        before: Entry | None,
        choices: Choices,
    ) -> None:
        """Claim the record, put it, and note where it is."""
        places, record_id = self._places, letter.record_id
        deadline = Deadline(PUT_SECONDS_MAX, self._stop)
        claim = self._new_claim()
        entry = Entry(self._fingerprint.of(data), key, claim, self._clock())
        if not places.ledger.claim(record_id, entry, before):
            raise LetterKept("somebody else was faster: redrive it again to see what came of it")
        try:
            self._check_standing(letter, parsed, choices)
        except (LetterKept, StandingError, Stopped):
            places.ledger.release(record_id, claim)
            raise
        try:
            placed = places.stream.put(key, data, deadline)
        except Stopped as stopped:
            raise LetterKept(
                f"the stream did not say in time whether it has it ({stopped}): redrive it again in"
                " five minutes, which finds out"
            ) from stopped
        except ClientError as error:  # the stream has said no; any other error leaves the claim
            places.ledger.release(record_id, claim)
            code = error.response.get("Error", {}).get("Code", "")
            if code not in _REFUSED:
                raise
            why = f"the stream refuses a record of {len(data):,} bytes: {code}"
            raise LetterKept(why) from error
        # False here means that the claim lapsed and somebody looks through the stream right now:
        # they will find what was put.
        places.ledger.mark_sent(record_id, claim, placed)

    def _check_standing(self, letter: Letter, parsed: Transaction | None, choices: Choices) -> None:
        """A source that mended its record may have sent it again itself.

        Raises:
            LetterKept: the transaction is indexed, from another record than this letter's.
        """
        if parsed is None or choices.force:
            return
        standing = self._places.standing.position_of(parsed.transaction_id, parsed.occurred_at)
        if standing is not None and standing != letter.position:
            raise LetterKept(
                "a transaction of this id stands in OpenSearch already: if the source sent it"
                " again, purge this letter; if not, give it another id"
            )

    def _parse(
        self, letter: Letter, data: bytes, arrived_at: Instant | None
    ) -> Transaction | Verdict | Suppression | Lift | Rejection:
        return self._parser.parse(Record(letter.position, data, "", arrived_at))
