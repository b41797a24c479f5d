"""A keyed digest of a record's bytes: equal records show as equal, and nothing else shows."""

from hashlib import blake2b
from typing import Final

_KEY_ID_BYTES: Final = 4
_DIGEST_BYTES: Final = 16


class Fingerprint:
    """Digests of records under the pseudonym key: BLAKE2b (RFC 7693), 128 bits of it.

    Keyed, since a card's number could be guessed from an open digest of a record of which all the
    rest is known. The first eight digits name the key, so that digests under two keys are never
    taken for those of two records.
    """

    def __init__(self, key: bytes) -> None:
        hashed = blake2b(key).digest()
        self._hasher = blake2b(key=hashed, digest_size=_DIGEST_BYTES, person=b"record")
        self.key_id = blake2b(key=hashed, digest_size=_KEY_ID_BYTES, person=b"key id").hexdigest()

    def of(self, data: bytes) -> str:
        """The digest of `data`: `<key id>-<32 hexadecimal digits>`."""
        hasher = self._hasher.copy()
        hasher.update(data)
        return f"{self.key_id}-{hasher.hexdigest()}"

    def can_compare(self, digest: str) -> bool:
        """Whether `digest` was made under this key."""
        return digest.startswith(f"{self.key_id}-")
