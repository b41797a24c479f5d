"""Where in the stream a record lies."""

import msgspec


class Position(msgspec.Struct, frozen=True, gc=False):
    """One user record's place: a shard, a sequence number, a sub-sequence number.

    `sequence_number` is Kinesis' decimal string (up to 56 digits); `sub_sequence_number` counts the
    user records that KPL packed into one Kinesis record, from 0.
    """

    shard_id: str
    sequence_number: str
    sub_sequence_number: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """What positions of one shard are compared by: sequence numbers are numbers, not text."""
        return int(self.sequence_number), self.sub_sequence_number

    @property
    def slug(self) -> str:
        """The position within its shard as a name fit for keys, such as `4959…-0`."""
        return f"{self.sequence_number}-{self.sub_sequence_number}"
