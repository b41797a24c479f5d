"""What a child shard takes over from its parents: shops and key groups of its range, and duties."""

from collections.abc import Mapping
from itertools import chain, zip_longest

import msgspec

from consumer.hours import HoursState
from consumer.lineage import HASH_KEY_LAST, Ancestry, HashRange, Lineage
from consumer.snapshot import State
from consumer.snapshots import Snapshots
from events.key_group import hash_key


def take_over(
    snapshots: Snapshots, lineage: Lineage, shard_id: str, key_groups: int
) -> tuple[State, tuple[str, ...]]:
    """What `shard_id`, which has no checkpoint yet, begins with, and the parents it comes from.

    A parent that this application never took (it began to read the stream later) leaves nothing.

    Raises:
        SnapshotError: a parent has not ended, or its final snapshot cannot be used.
    """
    ancestry = lineage.of(shard_id)
    found = {name: snapshots.final(name) for name in sorted(ancestry.parents)}
    finals = {name: final for name, final in found.items() if final is not None}
    return inherit(ancestry, finals, key_groups), tuple(finals)


def inherit(ancestry: Ancestry, finals: Mapping[str, State], key_groups: int) -> State:
    """The state that a shard begins with, from its parents' final ones.

    Every shop goes to the child whose range holds its hash key, so that none is forgotten and none
    learnt twice. A key group goes to every child whose range it reaches into: where a shard was
    split inside a group, both go on with a copy; where two halves meet again, the shared models of
    the parent that held more of the group are kept, and the remembered ids of both. What was still
    to be published and to be told is finished by every child: publishing and the pages' ledger do
    it once.
    """
    state = State(hours=HoursState())
    models: dict[int, int] = {}
    for name in sorted(finals):
        final, held = finals[name], ancestry.parents.get(name) or HashRange()
        for shop_id, data in final.shops.items():
            key = hash_key(shop_id)
            # What a producer put elsewhere than by its shop belongs to no range: all go on with it.
            if key in ancestry.own or key not in held:
                state.shops[shop_id] = data
        for group, data in final.groups.items():
            reach = group_range(group, key_groups)
            if not reach.overlap(ancestry.own):
                continue
            weight = reach.overlap(held)
            if weight > models.get(group, -1):
                models[group], state.groups[group] = weight, data
        for group, lists in final.duplicates.items():
            if group_range(group, key_groups).overlap(ancestry.own):
                known = state.duplicates.get(group)
                state.duplicates[group] = lists if known is None else [_shuffled(known, lists)]
        _take_duties(state, final)
    return state


def group_range(group: int, key_groups: int) -> HashRange:
    """The hash keys of one key group."""
    size = HASH_KEY_LAST + 1
    return HashRange(-(-group * size // key_groups), -(-(group + 1) * size // key_groups) - 1)


def _take_duties(state: State, final: State) -> None:
    hours, before = state.hours, final.hours
    if before.watermark is not None and (
        hours.watermark is None or before.watermark > hours.watermark
    ):
        hours.watermark = before.watermark
    hours.to_publish += before.to_publish
    hours.staged |= before.staged
    # After a split and a merge both parents may have the same to tell.
    state.pages += [page for page in final.pages if page not in state.pages]


def _shuffled(one: list[bytes], other: list[bytes]) -> bytes:
    """Both memories as one, taken in turns: what does not fit is forgotten from both alike."""
    decode = msgspec.msgpack.Decoder(list[dict[str, int]]).decode
    items = [
        [item for encoded in lists for ids in decode(encoded) for item in ids.items()]
        for lists in (one, other)
    ]
    turns = chain.from_iterable(zip_longest(*items))
    return msgspec.msgpack.encode([dict(item for item in turns if item is not None)])
