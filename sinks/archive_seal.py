"""Sealing: what leaves the process for the archive is encrypted here, and opened again here.

AES-256-GCM (NIST SP 800-38D) under a key of its own for every object. An object's key and nonce
are derived from the master key and a keyed digest of the content, 192 bits of it, as synthetic
initialisation vectors are (Rogaway and Shrimpton, 2006): so equal contents give equal bytes, which
writing again needs, and no nonce comes twice under one key, however many objects a key has sealed
and however little randomness the machine has. Who lists the bucket learns from that only which
objects are equal.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
_DIGEST_BYTES: Final = 24
_SALT_BYTES: Final = 12
_NAME: Final = b"archive"
"""BLAKE2b's personalisation: another use of the same master key gives other keys."""
OVERHEAD_BYTES: Final = KEY_ID_BYTES + _DIGEST_BYTES + 16
"""What sealing adds: the key's id, the digest, and GCM's tag."""


class SealError(Exception):
    """Something sealed cannot be opened; the message says why, and never holds a key."""


class Keys:
    """The key that seals, and older ones that still open what they sealed.

    Args:
        current: `KEY_BYTES` of randomness.
        old: keys before it, in any order.

    Raises:
        ValueError: one of them is not `KEY_BYTES` long.
    """

    def __init__(self, current: bytes, old: Sequence[bytes] = ()) -> None:
        if any(len(key) != KEY_BYTES for key in (current, *old)):
            raise ValueError(f"an archive key has {KEY_BYTES} bytes")
        self._by_id = {key_id(key): key for key in (*old, current)}
        self.current = key_id(current)

    def __repr__(self) -> str:
        return f"Keys(current={self.current.hex()})"

    def seal(self, plain: bytes, outside: bytes) -> bytes:
        """`plain` as nobody reads it without the key; `outside` goes in the clear beside it.

        The same arguments give the same bytes.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        master = self._by_id[self.current]
        tied = self.current + outside
        digest = _digest(master, plain, tied)
        sealed = AESGCM(_own_key(master, digest)).encrypt(digest[_SALT_BYTES:], plain, tied)
        return b"".join((self.current, digest, sealed))

    def open(self, sealed: bytes, outside: bytes) -> bytes:
        """What was sealed together with `outside`.

        Raises:
            SealError: under a key that is not here, or it was changed since.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(sealed) < OVERHEAD_BYTES:
            raise SealError("it is only the beginning of what was sealed")
        under = sealed[:KEY_ID_BYTES]
        master = self._by_id.get(under)
        if master is None:
            known = ", ".join(sorted(one.hex() for one in self._by_id))
            raise SealError(f"it was sealed under key {under.hex()}, and there is only {known}")
        digest = sealed[KEY_ID_BYTES : KEY_ID_BYTES + _DIGEST_BYTES]
        body = memoryview(sealed)[KEY_ID_BYTES + _DIGEST_BYTES :]
        try:
            return AESGCM(_own_key(master, digest)).decrypt(
                digest[_SALT_BYTES:], body, under + outside
            )
        except InvalidTag:
            raise SealError("its seal is broken: it is torn, or was changed") from None


def key_id(key: bytes) -> bytes:
    """The public name of a key: it says nothing of the key."""
    return blake2b(key=key, digest_size=KEY_ID_BYTES, person=_NAME, salt=b"name").digest()


def _digest(master: bytes, plain: bytes, tied: bytes) -> bytes:
    hasher = blake2b(key=master, digest_size=_DIGEST_BYTES, person=_NAME, salt=b"content")
    hasher.update(len(tied).to_bytes(8, "big") + tied)
    hasher.update(plain)
    return hasher.digest()


def _own_key(master: bytes, digest: bytes) -> bytes:
    salt = digest[:_SALT_BYTES]
    return blake2b(salt, key=master, digest_size=KEY_BYTES, person=_NAME, salt=b"object").digest()
