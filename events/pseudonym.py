"""Keyed hashes in place of card tokens and contact data."""

import unicodedata
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Literal, get_args

KEY_BYTES_MIN: Final = 16
DIGEST_BYTES: Final = 12

PSEUDONYMS_CACHED_MAX: Final = 16_384
"""Pseudonyms remembered: the same cards come back within a day."""

_Kind = Literal["card", "name", "email"]
_KINDS: Final[tuple[_Kind, ...]] = get_args(_Kind)


class Pseudonymizer:
    """Turns clear values into stable names that only the holder of the key can make again.

    BLAKE2b (RFC 7693) keyed with `key`, 96 bits of it, in hexadecimal behind a prefix that names
    the kind; the kind is hashed too, so that equal texts of two kinds do not show as equal. The
    same key gives the same pseudonyms on every machine, so a card can be followed across shops. The
    cache holds clear values in memory, `PSEUDONYMS_CACHED_MAX` of them at most.

    Raises:
        ValueError: the key is shorter than `KEY_BYTES_MIN` bytes.
    """

    __slots__ = ("_hashers", "_remembered")

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise ValueError(f"the pseudonym key needs {KEY_BYTES_MIN} bytes or more")
        # BLAKE2b takes 64 bytes of key at most; hashing first lets a key be of any length.
        hashed = blake2b(key).digest()
        # Keyed once: a copy of such a hasher costs a third of making one.
        self._hashers = {
            kind: blake2b(digest_size=DIGEST_BYTES, key=hashed, person=kind.encode())
            for kind in _KINDS
        }
        self._remembered = lru_cache(maxsize=PSEUDONYMS_CACHED_MAX)(self._pseudonym)

    def __repr__(self) -> str:
        return "Pseudonymizer(key=…)"

    def card_token(self, clear: str) -> str:
        """The pseudonym of a card token, which is taken as it comes."""
        return self._remembered("card", clear)

    def contact_name(self, clear: str) -> str:
        """The pseudonym of a person's name; case, spacing and Unicode form make no difference."""
        return self._remembered("name", clear)

    def contact_email(self, clear: str) -> str:
        """The pseudonym of an e-mail address; case and surrounding blanks make no difference."""
        return self._remembered("email", clear)

    def _pseudonym(self, kind: _Kind, clear: str) -> str:
        hasher = self._hashers[kind].copy()
        hasher.update(_normal(kind, clear).encode("utf-8", "surrogatepass"))
        return f"{kind}-{hasher.hexdigest()}"


def _normal(kind: _Kind, clear: str) -> str:
    if kind == "email":
        return clear.strip().lower()
    if kind == "name":
        return " ".join(unicodedata.normalize("NFKC", clear).casefold().split())
    return clear
