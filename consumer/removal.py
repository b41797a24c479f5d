"""Letters out of the queue, and their bytes out of the bucket, once nothing needs them."""

from collections.abc import Iterable

from sinks.dead_letters import DeadLetters, Held
from sinks.letter import Letter
from sinks.object_store import ObjectStore


class Removal:
    """Removes messages at once, and the objects that they point to at the end.

    Two letters about one record point to one object. So an object goes only when the whole queue
    was read and no letter that stays points to it; otherwise it is left to the bucket's lifecycle
    rule.
    """

    def __init__(self, queue: DeadLetters, store: ObjectStore) -> None:
        self._queue = queue
        self._store = store
        self._gone: set[str] = set()
        self._kept: set[str] = set()
        self.left = 0
        """Messages that could not be removed: somebody else has them in hand by now."""

    def keep(self, letter: Letter) -> None:
        """Note that `letter` stays."""
        if letter.data_key is not None:
            self._kept.add(letter.data_key)

    def remove(self, held: Iterable[Held]) -> None:
        """Delete these messages."""
        held = list(held)
        left = self._queue.remove(held)
        self.left += left
        for one in held:
            if one.letter.data_key is not None:
                (self._kept if left else self._gone).add(one.letter.data_key)

    def finish(self) -> None:
        """Delete the objects that no letter points to any more."""
        if self._queue.cut is None:
            for key in sorted(self._gone - self._kept):
                self._store.delete(key)
