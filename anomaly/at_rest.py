"""State as it rests, in a snapshot and in a worker's memory: compressed, each shop by itself.

A shop's state is full of numbers of refunds that begin alike, and of refunds that stand in several
places: zstd makes it less by four tenths. A snapshot compresses what it is given anyway, and has as
much less to do.
"""

from typing import Final

import zstandard

LEVEL: Final = 1
STATE_BYTES_MAX: Final = 16_777_216
"""State unpacked, at most: what says that it is more is broken."""


class AtRestError(ValueError):
    """Bytes that `pack` did not give."""


def pack(data: bytes) -> bytes:
    """`data` as it is kept; equal data give equal bytes."""
    return zstandard.ZstdCompressor(level=LEVEL).compress(data)


def unpack(data: bytes) -> bytes:
    """What `pack` was given; what was never packed comes back as it is.

    Raises:
        AtRestError: the bytes are not whole, or say that they are more than `STATE_BYTES_MAX`.
    """
    if data[:4] != zstandard.FRAME_HEADER:
        return data
    try:
        if zstandard.frame_content_size(data) > STATE_BYTES_MAX:
            raise AtRestError("more than a state can be")
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise AtRestError(str(error)) from error
