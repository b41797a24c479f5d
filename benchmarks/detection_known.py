"""What the known ways raised on a stream, kept between runs: no change of the detector changes it.

The key is made of the stream's own records and labels and of the code that made the alarms, so what
is kept can be left out of date by nothing.
"""

import os
import zlib
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks import detection_features, detection_runs, detection_ways
from benchmarks.detection_runs import Heard, hear, without_transactions
from benchmarks.detection_streams import Stream
from benchmarks.detection_ways import WAYS, Alarm

_Alarms = dict[str, list[Alarm]]


def kept_in() -> Path:
    """Where alarms are kept unless it is said otherwise: among the user's caches."""
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(caches, "tillwatch", "detection")


def hear_all(stream: Stream, kept: Path) -> dict[str, Heard]:
    """Every known way over `stream`; from the files in `kept`, which it fills, where it can."""
    path = kept / f"{_key(stream)}.alarms"
    try:
        alarms = msgspec.msgpack.decode(zlib.decompress(path.read_bytes()), type=_Alarms)
    except (OSError, zlib.error, msgspec.DecodeError):  # not kept, or not whole: made anew
        alarms = {name: hear(stream, make).alarms for name, make in WAYS.items()}
        kept.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(zlib.compress(msgspec.msgpack.encode(alarms)))
        partial.replace(path)
    truth = without_transactions(stream)
    return {name: Heard(alarms[name], truth) for name in WAYS}


def _key(stream: Stream) -> str:
    digest = sha256(stream.digest.encode())
    for module in (detection_ways, detection_features, detection_runs):
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(version("river").encode())
    return digest.hexdigest()[:32]
