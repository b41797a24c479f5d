"""A dead letter: how a Rejection is written into a message, and how it is read back."""

import base64
import binascii
import json
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any, Final

import msgspec

from events.instant import Instant, from_datetime, to_iso
from events.position import Position
from events.rejection import Rejection

UNREADABLE: Final = "unreadable"
"""Stage of what stands in the queue and is no dead letter of ours."""

_ID_BYTES: Final = 8


class Letter(msgspec.Struct, frozen=True):
    """One Rejection as it stands in the queue.

    `data` is None where the bytes were too many for a message: they lie in the bucket under
    `data_key`. `sent_at` is when the queue took the message.
    """

    position: Position
    stage: str
    reason: str
    field: str | None
    detail: str
    shop_id: str | None
    arrived_at: Instant | None
    data_bytes: int
    data: bytes | None
    data_key: str | None
    model_version: str | None = None
    sent_at: Instant | None = None

    def __repr__(self) -> str:
        """Without the bytes: what stands in them is not for an error's text."""
        return f"Letter({self.position!r}, {self.data_bytes} bytes, {self.stage}: {self.reason})"

    @property
    def record_id(self) -> str:
        """The record, whatever was wrong with it: `<shard>/<position>`."""
        return f"{self.position.shard_id}/{self.position.slug}"

    @property
    def letter_id(self) -> str:
        """The letter, however often it stands in the queue: 16 hexadecimal digits.

        A digest of Position, stage and reason: a batch that was redone writes the same letter
        again, and one record that two sinks refused gives two letters.
        """
        place = self.position
        named = (
            place.shard_id,
            place.sequence_number,
            place.sub_sequence_number,
            self.stage,
            self.reason,
        )
        text = json.dumps(named, separators=(",", ":"))
        return blake2b(text.encode(), digest_size=_ID_BYTES).hexdigest()

    @property
    def at(self) -> Instant | None:
        """When the record arrived; where that is not known, when the letter was written."""
        return self.sent_at if self.arrived_at is None else self.arrived_at


_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Message(msgspec.Struct, frozen=True):
    position: Position
    stage: str
    reason: str
    detail: str
    data_bytes: int
    field: str | None = None
    shop_id: str | None = None
    model_version: str | None = None
    arrived_at: _Time | None = None
    data: str | None = None
    data_key: str | None = None


_decoder = msgspec.json.Decoder(_Message)


def message(rejection: Rejection, key: str | None = None) -> str:
    """The message of `rejection`: JSON in ASCII, with its bytes in base64, or the `key` they have.

    ASCII, so that one character is one byte, and none is among those that SQS refuses.
    """
    position = rejection.position
    content: dict[str, Any] = {
        "id": f"{position.shard_id}/{position.slug}",
        "position": {
            "shard_id": position.shard_id,
            "sequence_number": position.sequence_number,
            "sub_sequence_number": position.sub_sequence_number,
        },
        "stage": rejection.stage,
        "reason": rejection.reason,
        "field": rejection.field,
        "detail": rejection.detail,
        "shop_id": rejection.shop_id,
        "model_version": rejection.model_version,
        "arrived_at": None if rejection.arrived_at is None else to_iso(rejection.arrived_at),
        "data_bytes": len(rejection.data),
    }
    if key is None:
        content["data"] = base64.b64encode(rejection.data).decode()
    else:
        content["data_key"] = key
    return json.dumps(content, separators=(",", ":"))


def letter_of(message_id: str, text: str, sent_at: Instant | None = None) -> Letter:
    """The letter in a message of the queue.

    What is no letter of ours (another program's message, or a newer format) comes back as one of
    the stage `unreadable`, under the message's own id: nobody deletes or redrives it by mistake.
    """
    try:
        read = _decoder.decode(text)
        data = None if read.data is None else base64.b64decode(read.data, validate=True)
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError):
        return _unreadable(message_id, text, sent_at)
    if data is None and read.data_key is None:
        return _unreadable(message_id, text, sent_at)
    return Letter(
        position=read.position,
        stage=read.stage,
        reason=read.reason,
        field=read.field,
        detail=read.detail,
        shop_id=read.shop_id,
        arrived_at=None if read.arrived_at is None else from_datetime(read.arrived_at),
        data_bytes=read.data_bytes,
        data=data,
        data_key=read.data_key,
        model_version=read.model_version,
        sent_at=sent_at,
    )


def _unreadable(message_id: str, text: str, sent_at: Instant | None) -> Letter:
    data = text.encode("utf-8", "surrogatepass")
    return Letter(
        position=Position("", message_id),
        stage=UNREADABLE,
        reason="not_a_letter",
        field=None,
        detail="a message that Tillwatch did not write, or a newer version of it",
        shop_id=None,
        arrived_at=None,
        data_bytes=len(data),
        data=data,
        data_key=None,
        sent_at=sent_at,
    )
