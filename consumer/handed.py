"""A worker's settings as its children take them over: read and judged once, by the supervisor.

To read them again a child would need pydantic, and for nothing else: 9 MiB of its memory, and a
fifth of the time that its imports take. They come in its environment, as the settings themselves
may, secrets too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from consumer.archive_keys import archive_keys

if TYPE_CHECKING:
    from consumer.settings import Settings
    from sinks.archive_seal import Keys

VARIABLE = "TILLWATCH_HANDED_SETTINGS"


class _Sheet(msgspec.Struct):
    """Settings by the kind of their values."""

    plain: dict[str, str | bool | int | float | None] = {}
    paths: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    secrets: dict[str, str] = {}
    secret_lists: dict[str, list[str]] = {}
    detector: str | None = None
    """The detector's configuration as JSON, where a file says it."""


class _Secret:
    """Stands for pydantic's SecretStr: it does not show unless it is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "_Secret('**********')"


class _Handed:
    """Stands for Settings, with every value of theirs under its name."""

    archive_key: _Secret | None
    archive_keys_old: tuple[_Secret, ...]
    detector_handed: str | None

    def __init__(self, values: dict[str, Any]) -> None:
        vars(self).update(values)

    @property
    def archive_keys(self) -> Keys | None:
        """As Settings say it."""
        return archive_keys(self.archive_key, self.archive_keys_old)


def hand(settings: Settings) -> dict[str, str]:
    """The variable of a child's environment that it takes `settings` over from.

    The detector's file is read here, and no more: one that is edited while the worker runs counts
    from its next start, and for all of its shards.

    Raises:
        SettingsError: the detector's file cannot be used.
    """
    from pydantic import SecretStr

    sheet = _Sheet()
    if settings.detector_file is not None:
        from consumer.candidate import detector_config

        sheet.detector = msgspec.json.encode(detector_config(settings)).decode()
    sheet.plain["own_application"] = settings.own_application
    for name in type(settings).model_fields:
        match getattr(settings, name):
            case SecretStr() as secret:
                sheet.secrets[name] = secret.get_secret_value()
            case Path() as path:
                sheet.paths[name] = str(path)
            case (SecretStr(), *_) as secrets:
                sheet.secret_lists[name] = [secret.get_secret_value() for secret in secrets]
            case tuple() as texts:
                sheet.lists[name] = list(texts)
            case value:
                sheet.plain[name] = value
    return {VARIABLE: msgspec.json.encode(sheet).decode()}


def handed() -> Settings:
    """The settings of this process: those handed to it, else read as everybody else's are.

    Raises:
        SettingsError: they are read, and one of them is missing or wrong.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        from consumer.settings import load

        return load()
    sheet = msgspec.json.decode(text, type=_Sheet)
    values: dict[str, Any] = {
        **sheet.plain,
        **{name: Path(path) for name, path in sheet.paths.items()},
        **{name: tuple(texts) for name, texts in sheet.lists.items()},
        **{name: _Secret(text) for name, text in sheet.secrets.items()},
        **{name: tuple(map(_Secret, texts)) for name, texts in sheet.secret_lists.items()},
        "detector_handed": sheet.detector,
    }
    return cast("Settings", _Handed(values))
