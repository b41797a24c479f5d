from events.batch import Scored

def transactions(
    scored: tuple[Scored, ...], start: int, bytes_max: int, /
) -> tuple[bytes, int]: ...
