"""User records that the Kinesis Producer Library packed into one Kinesis record.

The daemon takes them apart before a child sees them; whoever reads the stream beside it has to do
the same, with the same sub-sequence numbers. The format is KPL's own (its aggregation-format.md):
a magic, a protobuf message, and the MD5 of the message.
"""

from collections.abc import Iterator
from hashlib import md5

from consumer.lineage import HashRange
from events.key_group import hash_key

_MAGIC = bytes.fromhex("F3899AC2")
_DIGEST_BYTES = 16
_KEYS, _HASH_KEYS, _RECORDS = 1, 2, 3
"""Fields of the message: two tables of keys, and the records."""
_KEY_INDEX, _HASH_KEY_INDEX, _DATA = 1, 2, 3
"""Fields of a record."""
_VARINT, _BYTES = 0, 2
"""Kinds of field; KPL writes no others."""
_VARINT_BITS = 63

UserRecord = tuple[str, bytes]
"""Partition key and data."""


def user_records(key: str, data: bytes, own: HashRange) -> list[UserRecord]:
    """The user records of one Kinesis record; the index of each is its sub-sequence number.

    What is not aggregated is one user record. As KCL does, an aggregate with a record outside the
    shard's range `own` is left out as a whole: it was put while the shard was being split, and its
    producer puts it again.
    """
    message = data[len(_MAGIC) : -_DIGEST_BYTES]
    if (
        not data.startswith(_MAGIC)
        or len(data) <= len(_MAGIC) + _DIGEST_BYTES
        or md5(message, usedforsecurity=False).digest() != data[-_DIGEST_BYTES:]
    ):
        return [(key, data)]
    try:
        found = list(_unpacked(message))
    except (ValueError, LookupError):
        return [(key, data)]  # a message that is none: KCL hands it on as it came
    if any(place not in own for _, _, place in found):
        return []
    return [(name, body) for name, body, _ in found]


def _unpacked(message: bytes) -> Iterator[tuple[str, bytes, int]]:
    """Partition key, data and hash key of every record."""
    keys: list[str] = []
    hash_keys: list[int] = []
    records: list[bytes] = []
    for number, value in _fields(message):
        if isinstance(value, int):
            raise ValueError("a number where a table or a record is due")  # noqa: TRY004 -- of the data
        if number == _KEYS:
            keys.append(value.decode())
        elif number == _HASH_KEYS:
            hash_keys.append(int(value))
        elif number == _RECORDS:
            records.append(value)
    for record in records:
        of = dict(_fields(record))
        index, body, chosen = of[_KEY_INDEX], of[_DATA], of.get(_HASH_KEY_INDEX)
        if isinstance(index, bytes) or isinstance(body, int) or isinstance(chosen, bytes):
            raise ValueError("fields of the wrong kind")  # noqa: TRY004 -- of the data
        name = keys[index]
        yield name, body, hash_key(name) if chosen is None else hash_keys[chosen]


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field of a protobuf message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value, at = _varint(data, at)
        if tag & 7 == _VARINT:
            yield tag >> 3, value
        elif tag & 7 == _BYTES:
            if at + value > len(data):
                raise ValueError("a field goes beyond its message")
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            raise ValueError("a field of a kind that KPL does not write")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where the next field begins."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 -- the bit that says more follows
            return value, at
        shift += 7
        if shift > _VARINT_BITS:
            raise ValueError("a number of too many bytes")
