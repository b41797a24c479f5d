"""What scoring costs: CPU time per event, features included, and state per shop."""

import statistics
from collections.abc import Callable
from time import process_time

from anomaly.detector import Detector, DetectorConfig
from benchmarks.detection_streams import Spec, Stream, load
from benchmarks.detection_ways import WAYS
from events.transaction import Transaction

COST_SEED = 80_001
ROUNDS = 3


def cost_table(rounds: int = ROUNDS) -> str:
    """Microseconds of one core per event of a sample stream, and per refund in it."""
    stream = load(Spec(COST_SEED, shops=20, days=21))
    events = len(stream.transactions)
    refunds = sum(transaction.is_refund for transaction in stream.transactions)
    ways: dict[str, Callable[[], Callable[[Transaction], object]]] = {
        name: lambda make=make: make().alarm  # type: ignore[misc]  # bound now, one for each
        for name, make in WAYS.items()
    }
    ways["**Tillwatch**"] = lambda: Detector(DetectorConfig()).observe
    lines = [
        (
            f"**Cost** ({events:,} events, {refunds / events:.1%} refunds, median of {rounds}; "
            "the known ways score refunds alone, as the detector does)"
        ),
        "",
        "| | µs per event | µs per refund, sales included |",
        "| --- | --- | --- |",
    ]
    for name, make in ways.items():
        seconds = statistics.median(_seconds(stream, make()) for _ in range(rounds))
        lines.append(f"| {name} | {1e6 * seconds / events:.1f} | {1e6 * seconds / refunds:.0f} |")
    sizes = _state_bytes(stream)
    lines += [
        "",
        (
            f"State at rest after these {len(sizes)} shops' three weeks: "
            f"{statistics.median(sizes) / 1024:.1f} KB median, {max(sizes) / 1024:.1f} KB at most."
        ),
    ]
    return "\n".join(lines)


def _seconds(stream: Stream, see: Callable[[Transaction], object]) -> float:
    begin = process_time()
    for transaction in stream.transactions:
        see(transaction)
    return process_time() - begin


def _state_bytes(stream: Stream) -> list[int]:
    detector = Detector(DetectorConfig())
    for transaction in stream.transactions:
        detector.observe(transaction)
    return [len(data) for data in detector.take_changes().shops.values()]
