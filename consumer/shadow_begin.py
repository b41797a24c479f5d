"""Where a shadow begins with a shard: on the live worker's past state, where it can use that."""

import logging
from collections.abc import Callable

import msgspec

from anomaly.detector import DetectorConfig
from anomaly.state import StateError
from consumer.hours import HoursState
from consumer.rebuild_start import Start, Starts
from consumer.rotation import SLICES_MAX, Slices
from consumer.scorer import Scorer
from consumer.snapshot import State
from consumer.snapshots import Restored, Snapshots
from events.instant import Instant
from events.position import Position
from sinks.shadow_notes import Begun, Notes
from sinks.shadow_pages import ShadowPages, Unsure

_log = logging.getLogger("tillwatch.child")


class Beginning(msgspec.Struct, frozen=True):
    """What a shard goes on from, and the Position that it is equal to; None is nothing."""

    restored: Restored
    position: Position | None = None


def begin(
    shard_id: str,
    own: Snapshots,
    live: Starts,
    notes: Notes,
    config: DetectorConfig,
) -> Beginning:
    """The beginning of a shard that has no checkpoint and no parents of this shadow.

    It is the newest of the live worker's past snapshots that `config` can go on from, else nothing.
    What was chosen becomes a snapshot of the shadow's own and is noted before anything is made of
    it: who restarts it before its first checkpoint finds the same beginning, and so gives the same
    pages.

    Raises:
        FencedOff: another worker has taken the shard.
        SnapshotError: a beginning is noted, and its snapshot cannot be used.
    """
    noted = notes.begun(shard_id)
    if noted is not None:
        at = _position(shard_id, noted.position)
        return Beginning(Restored(State()) if at is None else own.load(at.slug), at)
    start = _usable(shard_id, live, config)
    if start is None or start.position is None:
        notes.note_begun(shard_id, Begun())
        _log.info("the shadow begins with nothing: the live worker left no state that it can use")
        return Beginning(Restored(State()))
    watermark = start.state.hours.watermark
    state = State(
        shops=start.state.shops,
        groups=start.state.groups,
        duplicates=start.state.duplicates,
        hours=HoursState(watermark=watermark),
    )
    slug = start.position.slug
    own.write(slug, state, Slices(0, SLICES_MAX), config.model_version())
    own.checkpointed(slug)
    notes.note_begun(shard_id, Begun(slug, watermark))
    _log.info("the shadow begins on the live worker's state", extra={"begun_at": slug})
    return Beginning(own.load(slug), start.position)


def watch(
    pages: ShadowPages,
    shard_id: str,
    config: DetectorConfig,
    after: Position | None,
    at: Instant | None,
    joined: Callable[[], bool],
) -> None:
    """Have it noted where `shard_id` begins, with which `config`, and what it has missed by then.

    `after` is where its state stands and `at` event time there; `joined` says, once a batch is
    made, whether the stream went on from `after`.
    """
    notes = pages.notes
    notes.note_config(config.model_version(), msgspec.json.encode(config))
    noted = notes.begun(shard_id)
    pages.begins_with_nothing = noted == Begun()
    pages.unsure = None
    if after is not None:
        pages.unsure = Unsure(after, after, at, joined)
    elif noted is not None and (first := _position(shard_id, noted.first)) is not None:
        # It died before its first checkpoint, and its pages up to then stand.
        pages.unsure = Unsure(None, first, noted.at, joined)


def _usable(shard_id: str, live: Starts, config: DetectorConfig) -> Start | None:
    for start in live.history(shard_id, None):
        try:
            Scorer(config, start.state.shops, start.state.groups)
        except StateError:
            continue
        return start
    return None


def _position(shard_id: str, slug: str | None) -> Position | None:
    if slug is None:
        return None
    sequence, _, sub = slug.partition("-")
    return Position(shard_id, sequence, int(sub))
