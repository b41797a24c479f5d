"""The archive's keys out of the settings' text."""

from base64 import b64decode
from collections.abc import Iterable
from typing import Protocol

from sinks.archive_seal import KEY_BYTES, Keys


class Secret(Protocol):
    """A text that does not show unless it is asked for."""

    def get_secret_value(self) -> str:
        """The text."""
        ...


def archive_keys(current: Secret | None, old: Iterable[Secret]) -> Keys | None:
    """What the archive is sealed and opened with; None where there is none."""
    return None if current is None else Keys(key_bytes(current), [key_bytes(key) for key in old])


def key_bytes(key: Secret) -> bytes:
    """The bytes of an archive key; ValueError, without the key, where it is none."""
    try:
        found = b64decode(key.get_secret_value(), validate=True)
    except ValueError:
        raise ValueError("it is not base64") from None
    if len(found) != KEY_BYTES:
        raise ValueError(f"it must be {KEY_BYTES} bytes in base64, and these are {len(found)}")
    return found
