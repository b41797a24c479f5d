"""A record with some of its fields set anew: what `tillwatch dlq redrive --fix` does to bytes."""

import itertools
import json
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from events.decode import duplicate_of, too_deep
from events.wire import REQUIRED

_STEP: Final = re.compile(r"(?P<name>[^.\[\]=]+)(?P<indices>(?:\[\d{1,6}\])*)")
_INDEX: Final = re.compile(r"\[(\d+)\]")

Path = tuple[str | int, ...]


class CorrectionError(Exception):
    """This correction cannot be made to this record; the message quotes no value of it."""


class _Number(str):
    """A number as its text, so that none of its digits is lost on the way."""

    __slots__ = ()


class Correction:
    """Fields to set and to take away, by path, such as `payment.method` or `lines[3].unit_price`.

    Args:
        assignments: `path=value`, where the value is JSON, or where it is none a text as it stands
            (`currency=GBP`). Objects on the way to a field are made where they are missing.
        removals: paths of fields to take away; one that is not there is no error.

    Raises:
        CorrectionError: a path or an assignment that is none.
    """

    def __init__(self, assignments: Iterable[str] = (), removals: Iterable[str] = ()) -> None:
        self._changes: list[tuple[Path, Any]] = []
        for assignment in assignments:
            path, equals, value = assignment.partition("=")
            if not equals:
                raise CorrectionError(f"{path!r} is no field=value")
            self._changes.append((_path(path), _value(value)))
        self._removals = [_path(removal) for removal in removals]

    def __bool__(self) -> bool:
        return bool(self._changes or self._removals)

    @property
    def fields(self) -> frozenset[str]:
        """The fields at the top of a record that are set or taken away."""
        paths = [path for path, _ in self._changes] + self._removals
        return frozenset(str(path[0]) for path in paths)

    def apply(self, data: bytes) -> bytes:
        """`data` corrected; the same bytes where there is nothing to correct.

        Everything else stays as it was: the order of fields, every digit of every number.

        Raises:
            CorrectionError: `data` is no JSON object, a required field stands in it twice and is
                not set anew, or a path does not fit it.
        """
        if not self:
            return data
        document = _read(data)
        twice = duplicate_of(data, REQUIRED)
        if twice is not None and twice not in self.fields:
            raise CorrectionError(f"{twice} stands there twice: say which with --fix {twice}=…")
        for path, value in self._changes:
            _set(document, path, value)
        for path in self._removals:
            _unset(document, path)
        try:
            return msgspec.json.encode(_raw(document))
        except UnicodeEncodeError:
            raise CorrectionError("half a surrogate pair is left in a text") from None

    def __repr__(self) -> str:
        return f"Correction(fields={sorted(self.fields)})"  # values may be anybody's


def _read(data: bytes) -> dict[str, Any]:
    if too_deep(data):
        raise CorrectionError("the record is nested too deep to be looked into")
    try:
        document = _loads(data.decode())
    except ValueError:
        raise CorrectionError(
            "the record is no JSON, so no field of it can be set: write what it should be to a"
            " file, and give that with --record"
        ) from None
    if not isinstance(document, dict):
        raise CorrectionError("the record is no JSON object")
    return document


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _value(text: str) -> Any:
    if too_deep(text.encode("utf-8", "surrogateescape")):
        raise CorrectionError("a value is nested too deep")
    try:
        return _loads(text)
    except ValueError:
        return text


def _path(text: str) -> Path:
    path: list[str | int] = []
    for step in text.split("."):
        found = _STEP.fullmatch(step)
        if found is None:
            raise CorrectionError(f"{text!r} is no path of a field, such as lines[3].unit_price")
        path.append(found["name"])
        path.extend(int(index) for index in _INDEX.findall(found["indices"]))
    return tuple(path)


def _set(document: dict[str, Any], path: Path, value: Any) -> None:
    place: Any = document
    for step, following in itertools.pairwise(path):
        if isinstance(step, int):
            place = _element(place, step, path)
        elif not isinstance(place, dict):
            raise CorrectionError(f"{_text(path)}: there is no object on the way to it")
        elif place.get(step) is None and isinstance(following, str):
            place[step] = place = {}
        elif step not in place:
            raise CorrectionError(f"{_text(path)}: there is no list on the way to it")
        else:
            place = place[step]
    last = path[-1]
    if isinstance(last, int):
        _element(place, last, path)
    elif not isinstance(place, dict):
        raise CorrectionError(f"{_text(path)}: there is no object on the way to it")
    place[last] = value


def _unset(document: dict[str, Any], path: Path) -> None:
    place: Any = document
    for step in path[:-1]:
        fits = isinstance(place, dict) if isinstance(step, str) else isinstance(place, list)
        if not fits or (step not in place if isinstance(step, str) else step >= len(place)):
            return
        place = place[step]
    last = path[-1]
    if isinstance(last, str) and isinstance(place, dict):
        place.pop(last, None)
    elif isinstance(last, int) and isinstance(place, list) and last < len(place):
        del place[last]


def _element(place: Any, index: int, path: Path) -> Any:
    if not isinstance(place, list) or index >= len(place):
        raise CorrectionError(f"{_text(path)}: there is no element [{index}]")
    return place[index]


def _text(path: Path) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def _raw(value: Any) -> Any:
    """`value` with every number as the text it was."""
    if isinstance(value, _Number):
        return msgspec.Raw(value.encode())
    if isinstance(value, dict):
        return {name: _raw(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_raw(item) for item in value]
    return value
