# The twin of Forest._way, in C; its words stand there.

def way(
    values: list[float | None],
    features: list[int],
    thresholds: list[float],
    learnt: list[int],
    weights: list[int],
    height: int,
) -> int: ...
