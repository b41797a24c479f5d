"""What a part's log says about what went wrong, without the noise around it."""

from typing import Any

import msgspec

from local.part import Part

_LINES_MAX = 8
_CHARACTERS_MAX = 4_000
_READ_BYTES_MAX = 4 * 2**20
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def trouble(part: Part) -> str:
    """The last warnings and errors of its JSON log lines; the end of its log where it has none."""
    with part.log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _READ_BYTES_MAX))
        lines = [_told(line) for line in file]
    told = [line for line in lines if line][-_LINES_MAX:]
    return "\n".join(told)[-_CHARACTERS_MAX:] if told else part.log_tail()


def _told(line: bytes) -> str | None:
    try:
        entry = _decode(line)
    except msgspec.DecodeError:
        return None
    level = entry.get("level")
    # KCL's own warnings speak of its configuration; only its errors are news.
    if level in {"ERROR", "CRITICAL"} or (
        level == "WARNING" and str(entry.get("logger")).startswith("tillwatch")
    ):
        return f"{level}: {entry.get('message')} {entry.get('exception', '')}".rstrip()
    return None
