from anomaly.detector import Detector
from consumer.duplicates import Duplicates
from events.batch import Scored
from events.instant import Instant
from events.record import Record

# Take plain sales from `drawn[at]` on, up to the batch's bounds: `room` records, and `size_max`
# bytes of which there are `size`. What they say is added to `detector`, `duplicates` and `scored`.
# Gives the first record that was not taken, and the batch's bytes, watermark and late ones behind
# the one before it; None where none was taken.
def take(
    drawn: list[Record],
    parsed: list[object],
    at: int,
    detector: Detector,
    duplicates: Duplicates,
    group_of: dict[str, int],
    scored: list[Scored],
    room: int,
    size: int,
    size_max: int,
    watermark: Instant,
    lateness: Instant,
    late: int,
    /,
) -> tuple[int, int, Instant, int] | None: ...
