"""The twin of Forest._way, in C."""

def way(
    values: list[float | None],
    features: list[int],
    thresholds: list[float],
    learnt: list[int],
    weights: list[int],
    height: int,
) -> int:
    """Count a refund on its way down every tree; the weights of its leaves, added."""
