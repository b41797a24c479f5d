"""A person out of the dead letters: letters that hold the clear values go, with their bytes."""

import json
import re
from typing import Any

import msgspec

from consumer.erase_report import Place
from consumer.redrive import LetterKept, record_of
from consumer.removal import Removal
from events.decode import too_deep
from sinks.dead_letters import DeadLetters, Held
from sinks.object_store import ObjectStore
from sinks.s3_versions import OldVersions

PREFIX = "dead-letters/"
"""Where the bytes lie that are too many for a message."""


class Person(msgspec.Struct, frozen=True):
    """Who is to go, in the clear: never shown, and compared with the bytes of letters alone."""

    customer: str | None = None
    card: str | None = None
    email: str | None = None

    def __repr__(self) -> str:
        return "Person(…)"

    def is_in(self, data: bytes) -> bool:
        """Whether the record in `data` is theirs.

        Told by its own fields where it is a JSON object; by the words in it where it is not, or
        where it has these fields in another place.
        """
        fields = _fields(data)
        if fields is not None and (
            (self.customer is not None and _text(fields, "customer_id") == self.customer)
            or (self.card is not None and _text(fields, "payment", "card_token") == self.card)
            or (self.email is not None and _same(_text(fields, "contact", "email"), self.email))
        ):
            return True
        # An address or a token stands for its person wherever it is; a number such as 17 does not.
        words = [self.email, self.card, *([self.customer] if fields is None else [])]
        text = data.decode(errors="replace").casefold()
        return any(_word(word).search(text) is not None for word in words if word)


class LetterErasure:
    """Goes through the dead-letter queue, and what it points to in `store`.

    What was rejected is in no book, so nothing of it stays. `versions` are what the bucket keeps of
    deleted bytes, if it keeps them.
    """

    def __init__(
        self,
        queue: DeadLetters,
        store: ObjectStore,
        person: Person,
        *,
        dry_run: bool,
        versions: OldVersions | None = None,
    ) -> None:
        self._queue = queue
        self._store = store
        self._person = person
        self._dry_run = dry_run
        self._versions = versions

    def run(self) -> list[Place]:
        """Look at every letter, and let theirs go."""
        removal = Removal(self._queue, self._store)
        theirs: list[Held] = []
        for held in self._queue.messages():
            try:
                data = record_of(held.letter, self._store)
            except LetterKept:  # its bytes are gone already
                data = b""
            if not self._person.is_in(data):
                removal.keep(held.letter)
                continue
            # Without its bytes: there may be many.
            letter = msgspec.structs.replace(held.letter, data=None)
            theirs.append(Held(letter, held.message_id))
        erased = 0
        if theirs and not self._dry_run:
            removal.remove(theirs)
            removal.finish()
            erased = len(theirs) - removal.left
        cut = self._queue.cut
        note = "" if cut is None else f"not all were read, {cut}: erase again"
        places = [Place("Dead letters", "messages", len(theirs), erased, note, whole=cut is None)]
        if self._versions is not None:
            places.append(self._old_bytes(self._versions))
        return places

    def _old_bytes(self, versions: OldVersions) -> Place:
        found = erased = 0
        for version in versions.under(PREFIX):
            try:
                data = versions.get(version)
            except KeyError:
                continue
            if self._person.is_in(data):
                found += 1
                if not self._dry_run:
                    versions.delete(version)
                    erased += 1
        return Place("Dead letters: old", "versions of their bytes", found, erased)


def _fields(data: bytes) -> dict[str, Any] | None:
    if too_deep(data):
        return None
    try:
        document = json.loads(data.decode(), parse_float=str, parse_int=str)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _text(fields: dict[str, Any], *path: str) -> str | None:
    value: Any = fields
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _same(one: str | None, other: str) -> bool:
    return one is not None and one.strip().lower() == other.strip().lower()


def _word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(text.strip().casefold())}(?![\w-])")
