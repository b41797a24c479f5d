"""The mark of a record that comes back from the dead-letter queue.

A dead letter stands nowhere else: what could not be scored, or what any sink refused, has neither
document nor row (sinks/prepared.py). But it has been seen: its transaction id is remembered, and
the same id would not count again. The mark says that it never counted, and names the letter, so
that the same letter put back onto the stream twice counts once. A letter that was rejected before
that (stages `parse` and `deduplicate`) needs no mark.
"""

import msgspec

FIELD = "redriven_from"
"""The wire field; parsers keep it among the unknown ones, so it is found with the transaction."""

STAGES_UNSEEN = frozenset({"parse", "deduplicate"})
"""Stages whose letters' transaction ids were not taken note of."""


class _Marked(msgspec.Struct):
    redriven_from: str | None = None


_decode = msgspec.json.Decoder(_Marked).decode
_field = FIELD.encode()


def marked(data: bytes, letter: str) -> bytes:
    """The record `data`, a JSON object, with the mark of `letter`, which is the letter's `id`.

    Nothing else in it changes, to the byte. An older mark gives way to this one.

    Raises:
        ValueError: it is no JSON object with something in it.
    """
    text = data.rstrip()
    if not msgspec.json.decode(data, type=dict[str, msgspec.Raw]):
        raise ValueError("an empty object cannot be marked")
    return b'%b,"%b":%b}' % (text[:-1], _field, msgspec.json.encode(letter))


def letter_of(data: bytes) -> str | None:
    """The id of the letter that a parsed record comes back from, or None."""
    if _field not in data:
        return None
    try:
        return _decode(data).redriven_from
    except msgspec.ValidationError:
        return None
