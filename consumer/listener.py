"""Who talks to the daemon: a thread of its own, one action ahead of the one that scores.

The daemon puts its next records together only when it was told that it may go on, and takes a
checkpoint only between an action and the answer to it. Were the scoring thread to do both, the
daemon would stand still while records are scored, and a batch that is written would wait for its
checkpoint. So this thread answers for records as soon as the scoring one takes them up, reads the
next action meanwhile, and holds that one unanswered: with it, checkpoints can be asked for.

An answer for records means that more may come, and nothing else: what lies behind the checkpoint is
delivered again. Any other action is answered when it was handled.
docs/decisions/0019-one-action-ahead.md has the reasons.
"""

import logging
import queue
import random
import threading
from typing import Protocol

import msgspec

from consumer.checkpoint import EndFollows
from consumer.multilang import (
    Action,
    CheckpointRefusedError,
    DaemonGone,
    LeaseLost,
    ProcessRecords,
    ShardEnded,
    Shutdown,
)
from events.position import Position
from sinks.fence import FencedOff
from sinks.sink import Stopped

_log = logging.getLogger("tillwatch.shard")
_WAIT_SECONDS = 0.2
"""How often who waits for a checkpoint looks whether it is still wanted."""
_CHECKPOINT_TRIES_MAX = 10
_BACKOFF_SECONDS_MAX = 10.0


class Talk(Protocol):
    """The daemon's side, as consumer.multilang.Conversation has it; one thread at a time."""

    def next_action(self) -> Action | None:
        """The next action; None when the daemon closed the pipe."""
        ...

    def done(self, action: Action) -> None:
        """Answer `action`: the daemon goes on."""
        ...

    def checkpoint(self, sequence_number: str | None, sub_sequence_number: int | None) -> None:
        """Ask for a checkpoint while an action is unanswered."""
        ...


class _Question(msgspec.Struct):
    """Somebody's wish for a checkpoint, and what became of it."""

    position: Position | None
    answered: threading.Event
    error: BaseException | None = None


class _Go(msgspec.Struct, frozen=True):
    """The action that is held may be answered."""


class _End(msgspec.Struct, frozen=True):
    """Nobody takes actions any more: what is held stays unanswered."""


class Listener:
    """Gives the daemon's actions one by one, and asks it for checkpoints meanwhile.

    `next_action` and `done` belong to one thread, in turn; `checkpoint` to one other. At most one
    action is held beside the one that is being handled. `stop` lets go of who waits for an answer.
    """

    def __init__(self, talk: Talk, stop: threading.Event) -> None:
        self._talk = talk
        self._stop = stop
        # Room for all that can be there: an action and the end; a question, a go-ahead and the end.
        self._actions: queue.Queue[Action | BaseException | None] = queue.Queue(maxsize=2)
        self._said: queue.Queue[_Question | _Go | _End] = queue.Queue(maxsize=3)
        self._over = threading.Event()
        self._ended_with: BaseException | None = None
        self.lease_refused = False
        """Whether the lease table itself has said that another worker holds the shard."""

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._run, name="listen", daemon=True).start()

    def next_action(self) -> Action | None:
        """The next action, or None when the daemon closed the pipe.

        Raises:
            ProtocolError: it said something that is no action.
            DaemonGone: it went away in the middle of something.
        """
        action = self._actions.get()
        if isinstance(action, BaseException):
            raise action
        if isinstance(action, ProcessRecords):
            self._said.put_nowait(_Go())
        return action

    def done(self, action: Action) -> None:
        """`action` is handled, and may be answered if it was not."""
        if not isinstance(action, ProcessRecords):
            self._said.put_nowait(_Go())

    def end(self) -> None:
        """Answer nothing any more; the last call of the thread that takes actions."""
        self._said.put_nowait(_End())

    def checkpoint(self, position: Position | None) -> None:
        """Return when the lease table has accepted `position`; None is the end of the shard.

        Through a throttled lease table it is asked for again, with backoff and full jitter.

        Raises:
            FencedOff: another worker holds the shard.
            EndFollows: the shard has ended, and this is not its end.
            Stopped: the shard was given up meanwhile.
            CheckpointRefusedError: it was refused for good, or for too many tries.
            DaemonGone: there is nobody to ask; or what the listening thread ended with.
        """
        question = _Question(position, threading.Event())
        self._said.put_nowait(question)
        while not question.answered.wait(_WAIT_SECONDS):
            if self._stop.is_set():
                raise Stopped("the shard was given up before its checkpoint")
            if self._over.is_set() and not question.answered.is_set():
                raise self._ended_with or DaemonGone(
                    "the daemon went away before it was asked for a checkpoint"
                )
        if question.error is not None:
            raise question.error

    def _run(self) -> None:
        try:
            while (action := self._talk.next_action()) is not None:
                self._actions.put_nowait(action)
                if not self._hold(action):
                    return
                self._talk.done(action)
            self._actions.put_nowait(None)
        except BaseException as error:  # noqa: BLE001 -- raised in the threads that ask
            self._ended_with = error
            self._actions.put_nowait(error)
        finally:
            self._over.set()

    def _hold(self, action: Action) -> bool:
        """Leave `action` unanswered until it may be, and ask for checkpoints meanwhile.

        False where it is to stay unanswered.
        """
        while isinstance(said := self._said.get(), _Question):
            try:
                self._look(said.position, action)
                self._ask(said.position)
            except (Stopped, EndFollows, CheckpointRefusedError) as error:
                said.error = error
            except BaseException as error:
                said.error = error
                raise
            finally:
                said.answered.set()
        return isinstance(said, _Go)

    def _look(self, position: Position | None, held: Action) -> None:
        """Raise where `position` is not to be asked for with `held`."""
        if self._stop.is_set():
            raise Stopped("the shard was given up before its checkpoint")
        if _lost(held):
            raise FencedOff("the daemon says that the lease is lost")
        if position is not None and ends_shard(held):
            raise EndFollows

    def _ask(self, position: Position | None) -> None:
        for attempt in range(_CHECKPOINT_TRIES_MAX):
            try:
                if position is None:
                    self._talk.checkpoint(None, None)
                else:
                    self._talk.checkpoint(position.sequence_number, position.sub_sequence_number)
            except CheckpointRefusedError as error:
                if error.lease_lost:
                    self.lease_refused = True
                    raise FencedOff("the lease fenced the checkpoint off") from error
                if not error.transient or attempt == _CHECKPOINT_TRIES_MAX - 1:
                    raise
                _log.warning("checkpoint not taken yet: %s", error.name)
                pause = random.uniform(0, min(_BACKOFF_SECONDS_MAX, 0.1 * 2**attempt))
                if self._stop.wait(pause):
                    raise Stopped("the shard was given up before its checkpoint") from error
            else:
                return


def ends_shard(action: Action) -> bool:
    """Whether `action` says that every record of the shard was delivered."""
    return isinstance(action, ShardEnded) or action == Shutdown(reason="TERMINATE")


def _lost(action: Action) -> bool:
    """Whether `action` says that another worker holds the shard: no checkpoint is taken with it."""
    return isinstance(action, LeaseLost | Shutdown) and not ends_shard(action)
