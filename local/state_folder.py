"""The one folder in which a demo or a test keeps its state: marked, locked, safe to delete."""

import fcntl
import os
import secrets
import shutil
import time
from base64 import b64encode
from hashlib import blake2b
from pathlib import Path
from typing import IO, Self

_MARK = "tillwatch-state.txt"
_MARK_TEXT = """\
This folder holds the state of an embedded Tillwatch: its servers' data, their logs, a key.
It can be deleted when no demo runs here.
"""
_KEY = "pseudonym.key"
_KEY_BYTES = 32
_REMOVE_SECONDS_MAX = 20.0


class StateFolderError(Exception):
    """The folder cannot be used; the message says why."""


class StateFolder:
    """`path`, held by this process alone for as long as the context lasts.

    What an earlier run left, killed or not, is removed on entry, but for its pseudonym key. A
    folder that holds anything and is not marked as ours is refused: nothing of others is deleted.
    With `keep=False` the folder is removed at the end of a context that did not fail.
    """

    def __init__(self, path: Path, *, keep: bool = True) -> None:
        self.path = path.absolute()
        self._keep = keep
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        if self.path.exists() and not (self.path / _MARK).exists() and any(self.path.iterdir()):
            raise StateFolderError(
                f"{self.path} is not empty and was not made by Tillwatch: name another with --state"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        # A descriptor is inherited by no child (PEP 446), so the lock ends with this process.
        lock = (self.path / _MARK).open("a+")
        try:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise StateFolderError(
                f"another demo is using {self.path}: end it, or name another folder with --state"
            ) from None
        lock.truncate(0)
        lock.write(_MARK_TEXT)
        lock.flush()
        self._lock = lock
        self.clear()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        failed = kind is not None and not issubclass(kind, KeyboardInterrupt)
        if not self._keep and not failed:
            self.remove()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def clear(self) -> None:
        """Remove everything but the mark and the key."""
        for entry in self.path.iterdir():
            if entry.name in {_MARK, _KEY}:
                continue
            if entry.is_dir() and not entry.is_symlink():
                _remove_tree(entry)
            else:
                entry.unlink()

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        self.clear()
        (self.path / _KEY).unlink(missing_ok=True)
        (self.path / _MARK).unlink(missing_ok=True)
        self.path.rmdir()

    def pseudonym_key(self) -> str:
        """The key that this folder's cards and contacts are hashed with: random, owner-readable."""
        path = self.path / _KEY
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(_KEY_BYTES))
        return path.read_text()

    def archive_key(self) -> str:
        """The key that this folder's raw archive is sealed with, worked out from the other one."""
        hashed = blake2b(self.pseudonym_key().encode(), digest_size=32, person=b"archive")
        return b64encode(hashed.digest()).decode()


def _remove_tree(folder: Path) -> None:
    """Remove `folder`, into which the servers of a killed run may still write as they end."""
    deadline = time.monotonic() + _REMOVE_SECONDS_MAX
    while True:
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
