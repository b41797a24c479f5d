"""What a shadow writes down beside its pages: where it began, with what, and what is wrong."""

from collections.abc import Sequence

import msgspec

from events.instant import Instant
from events.rejection import Rejection
from sinks.object_store import ObjectStore

SHADOWS = "shadow/"
FAILURES_SHOWN_MAX = 20
"""Of the transactions that a candidate failed at, so many are told one by one."""


def folder_of(application: str, name: str) -> str:
    """Where all lies that the shadow `name` of the live `application` tells; a lake of its own."""
    return f"{SHADOWS}{application}/{name}/"


class Begun(msgspec.Struct, frozen=True):
    """Where a shadow began with a shard.

    `position` is the slug of what its state is equal to, None where it began with nothing; `at` is
    the event time from which on it has seen all, None as long as it has seen no transaction.
    `first` is the slug of the first record of the batch that `at` comes from, where it began with
    nothing.
    """

    position: str | None = None
    at: Instant | None = None
    first: str | None = None


class Hole(msgspec.Struct, frozen=True):
    """A stretch of a shard that a shadow is not known to have seen.

    It lies behind the record `after` and before the record `first`, which are slugs of Positions;
    `begin` and `end` are the event time there, as far as that is known.
    """

    shard_id: str
    after: str
    first: str
    begin: Instant | None = None
    end: Instant | None = None


class Failure(msgspec.Struct, frozen=True):
    """A transaction that the candidate could not score, without what the record says.

    `position` is the slug; the rest is as in a Rejection.
    """

    shard_id: str
    position: str
    reason: str
    detail: str
    shop_id: str | None = None
    model_version: str | None = None
    arrived_at: Instant | None = None


class Noted(msgspec.Struct, frozen=True):
    """Everything that is noted of a shadow."""

    begun: tuple[Begun, ...] = ()
    """Shards that came out of a split or merge have none."""
    configs: dict[str, str] = {}
    """The configurations that it ever ran with, as JSON, by model version."""
    holes: tuple[Hole, ...] = ()
    failed: int = 0
    """Transactions that it could not score."""
    failures: tuple[Failure, ...] = ()
    """The first of them in each shard, `FAILURES_SHOWN_MAX` in all."""


class Notes:
    """The notes of one shadow, whose folder is `folder`.

    Each has a key that says what it is about: written again after a death, it counts once.
    """

    def __init__(self, store: ObjectStore, folder: str) -> None:
        self._store = store
        self._begun = f"{folder}begun/"
        self._configs = f"{folder}detector/"
        self._holes = f"{folder}holes/"
        self._failures = f"{folder}failures/"

    def begun(self, shard_id: str) -> Begun | None:
        """Where it began with `shard_id`."""
        try:
            return msgspec.json.decode(self._store.get(self._begun_key(shard_id)), type=Begun)
        except KeyError:
            return None

    def note_begun(self, shard_id: str, begun: Begun) -> None:
        """Make it durable where it began; that is settled before its first checkpoint."""
        self._store.put(self._begun_key(shard_id), msgspec.json.encode(begun))

    def note_config(self, version: str, config: bytes) -> None:
        """Make it durable what a model version stands for; `config` is JSON."""
        self._store.put(f"{self._configs}{version}.json", config)

    def note_hole(self, hole: Hole) -> bool:
        """Make `hole` durable; whether that is news."""
        key, body = f"{self._holes}{hole.shard_id}/{hole.after}.json", msgspec.json.encode(hole)
        try:
            if self._store.get(key) == body:
                return False
        except KeyError:
            pass
        self._store.put(key, body)
        return True

    def note_failure(self, failure: Failure) -> None:
        """Make `failure` durable."""
        key = f"{self._failures}{failure.shard_id}/{failure.position}.json"
        self._store.put(key, msgspec.json.encode(failure))

    def read(self) -> Noted:
        """All of it; of failures a few and their number."""
        store = self._store
        failures = store.keys(self._failures)
        return Noted(
            begun=tuple(
                msgspec.json.decode(store.get(key), type=Begun) for key in store.keys(self._begun)
            ),
            configs={
                key.removeprefix(self._configs).removesuffix(".json"): store.get(key).decode()
                for key in store.keys(self._configs)
            },
            holes=tuple(
                msgspec.json.decode(store.get(key), type=Hole) for key in store.keys(self._holes)
            ),
            failed=len(failures),
            failures=tuple(
                msgspec.json.decode(store.get(key), type=Failure)
                for key in sorted(failures, key=_in_order)[:FAILURES_SHOWN_MAX]
            ),
        )

    def _begun_key(self, shard_id: str) -> str:
        return f"{self._begun}{shard_id}.json"


class ShadowFailures:
    """Stands where a live worker has its dead letters: keeps what the candidate itself fails at.

    What is no transaction, or came twice, the live worker's dead letters have. Records are not
    kept: they are in the stream, and in the raw archive.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def write_rejections(self, rejections: Sequence[Rejection]) -> None:
        """Return when all that the candidate could not score are noted."""
        for one in rejections:
            if one.stage == "score":
                self._notes.note_failure(
                    Failure(
                        shard_id=one.position.shard_id,
                        position=one.position.slug,
                        reason=one.reason,
                        detail=one.detail,
                        shop_id=one.shop_id,
                        model_version=one.model_version,
                        arrived_at=one.arrived_at,
                    )
                )


def _in_order(key: str) -> tuple[int, int, str]:
    """By position first, so that no shard fills the list: sequence numbers grow with time."""
    shard, _, slug = key.removesuffix(".json").rpartition("/")
    sequence, _, sub = slug.partition("-")
    return int(sequence), int(sub), shard
