"""Objects as files below one directory of this machine."""

import fcntl
import os
import tempfile
from hashlib import sha256
from pathlib import Path

_TEMPORARY = ".partial-"


class DirectoryObjectStore:
    """An ObjectStore in the directory `path`, which is made when it is first written to.

    A put is atomic and durable: the bytes are flushed to a file beside the target, which is then
    renamed over it, and the rename is flushed too. Keys that lead outside, or whose parts are empty
    or begin with a dot, are refused with ValueError.
    """

    def __init__(self, path: Path) -> None:
        self._root = path

    def put(self, key: str, body: bytes) -> None:
        """Write `body` under `key`, over whatever stood there."""
        target = self._file(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=_TEMPORARY, dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            Path(partial).replace(target)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def get(self, key: str) -> bytes:
        """The object under `key`.

        Raises:
            KeyError: there is none.
        """
        try:
            return self._file(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise KeyError(key) from None

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with `prefix`, sorted."""
        above = self._root / prefix.rpartition("/")[0]
        found = (
            (Path(folder) / name).relative_to(self._root).as_posix()
            for folder, _, names in os.walk(above)
            for name in names
            if not name.startswith(_TEMPORARY)
        )
        return sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove `key`; no error where there is none."""
        self._file(key).unlink(missing_ok=True)

    def tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object under `key` and the tag of this content; None where there is none."""
        try:
            body = self.get(key)
        except KeyError:
            return None
        return body, sha256(body).hexdigest()

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        """Write `body` if the object still has `tag`; see ConditionalStore.

        Who writes under a condition takes turns, by a lock on the directory that the object lies
        in; a plain `put` does not wait for it.
        """
        folder = self._file(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            held = self.tagged(key)
            if held is not None and held[0] == body:
                return True
            if (held[1] if held else None) != tag:
                return False
            self.put(key, body)
            return True
        finally:
            os.close(handle)

    def _file(self, key: str) -> Path:
        parts = key.split("/")
        if any(not part or part.startswith(".") or "\0" in part for part in parts):
            raise ValueError(f"not a key: {key!r}")
        return self._root.joinpath(*parts)
