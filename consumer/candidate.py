"""The detector's configuration: as the settings give it, with what a file says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from anomaly.detector import DetectorConfig
from anomaly.needs import EVIDENCE

if TYPE_CHECKING:
    from pathlib import Path

    from consumer.settings import Settings


class ConfigError(Exception):
    """A file is no configuration of the detector; the message says which, and why."""


def candidate(path: Path, live: DetectorConfig) -> DetectorConfig:
    """`live` with what the JSON object in `path` says otherwise.

    Raises:
        ConfigError: it is no such object, names a field that the detector does not have, or gives
            one a value that makes no sense.
    """
    try:
        changes = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
        unknown = sorted(set(changes) - set(DetectorConfig.__struct_fields__))
        if unknown:
            known = ", ".join(DetectorConfig.__struct_fields__)
            raise ConfigError(f"{path}: the detector has no {', '.join(unknown)}; it has {known}")
        made = msgspec.convert(msgspec.structs.asdict(live) | changes, DetectorConfig)
    except (msgspec.DecodeError, OSError) as error:
        raise ConfigError(f"{path} is no configuration: {error}") from error
    if not made.pages_per_shop_week > 0:
        raise ConfigError(f"{path}: pages_per_shop_week must be more than 0")
    if nobodys := sorted(set(made.without) - set(EVIDENCE)):
        raise ConfigError(f"{path}: there is no evidence {', '.join(nobodys)}")
    return made


def detector_config(settings: Settings) -> DetectorConfig:
    """What a worker with these settings scores with; a child, what its supervisor read.

    Raises:
        SettingsError: the file that the settings name cannot be used.
    """
    if settings.detector_handed is not None:
        return msgspec.json.decode(settings.detector_handed, type=DetectorConfig)
    plain = DetectorConfig(
        key_groups=settings.key_groups, pages_per_shop_week=settings.pages_per_shop_week
    )
    if settings.detector_file is None:
        return plain
    from consumer.settings import SettingsError

    try:
        made = candidate(settings.detector_file, plain)
    except ConfigError as error:
        raise SettingsError(f"TILLWATCH_DETECTOR_FILE: {error}") from error
    if made.key_groups != plain.key_groups:
        raise SettingsError(
            f"TILLWATCH_DETECTOR_FILE says {made.key_groups} key groups and "
            f"TILLWATCH_KEY_GROUPS {plain.key_groups}: leave them out of the file"
        )
    return made
