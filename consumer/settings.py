"""Every setting, in one typed place: environment variables over one optional TOML file.

`TILLWATCH_<NAME>` sets a setting, `TILLWATCH_CONFIG` names a TOML file with the same names in lower
case. docs/settings.md lists them; a test holds the two together.
"""

import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, TypeVar, overload

from pydantic import Field, FilePath, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from consumer.archive_keys import archive_keys, key_bytes
from consumer.opensearch_settings import CONFIG_VARIABLE, OpenSearchSettings, address
from events.parse import Parser
from events.pseudonym import KEY_BYTES_MIN, Pseudonymizer
from sinks.archive_seal import Keys

SHADOW_NAME = "^[a-z0-9][a-z0-9-]{0,31}$"
"""Part of the names of tables and of a folder."""

Kind = TypeVar("Kind", bound=OpenSearchSettings)


class SettingsError(Exception):
    """The settings cannot be used; the message lists every fault at once, secrets left out."""


class Settings(OpenSearchSettings):
    """What a worker runs with. Times are seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(extra="forbid")

    application: str = Field(
        "tillwatch", description="Name of the KCL application: its lease table."
    )
    shadow: str | None = Field(
        None,
        pattern=SHADOW_NAME,
        description="Be the shadow of this name: score beside the worker, and page nobody.",
    )
    stream: str = Field(description="Name of the Kinesis stream.")
    aws_endpoint: str | None = Field(
        None, description="URL of an AWS endpoint other than Amazon's, such as the embedded one."
    )
    kinesis_endpoint: str | None = Field(
        None, description="URL of another endpoint for Kinesis alone, such as one that reshards."
    )
    bucket: str = Field(description="S3 bucket of Parquet files, staged parts and snapshots.")
    snapshot_directory: Path | None = Field(
        None, description="Directory for snapshots instead of the bucket; one machine only."
    )
    topic_arn: str = Field(description="ARN of the SNS topic that pages go to.")
    dead_letter_queue_url: str = Field(description="URL of the SQS queue for rejections.")
    ledger_table: str = Field(
        "tillwatch-ledger", description="DynamoDB table that notes which pages were sent."
    )
    pseudonym_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Key that card tokens and contact data are hashed with; 16 characters or more.",
    )
    pseudonym_key_secret: str | None = Field(
        None,
        validate_default=True,
        description="Name or ARN of the secret in AWS Secrets Manager that holds that key instead.",
    )
    pseudonym_keys_old: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Keys before it, the latest first: cards and erasure match across them."
    )
    archive_key: SecretStr | None = Field(
        None,
        description="Key that seals the raw archive, base64 of 32 bytes; without it there is none.",
    )
    archive_keys_old: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Earlier archive keys, which still open what they sealed."
    )
    required_fields: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Optional wire fields that this source must send, such as contact."
    )
    key_groups: int = Field(
        4, ge=1, le=256, description="Ranges of the hash-key space that share a forest. Fixed."
    )
    batch_records_max: int = Field(
        8_000, ge=1, description="Records in one batch, which is one checkpoint, at most."
    )
    batch_bytes_max: int = Field(
        64 * 2**20, ge=2**20, description="Record bytes in one batch at most."
    )
    batch_seconds_max: float = Field(
        2.0, gt=0, description="How long a record waits for its batch to fill, at most."
    )
    duplicates_remembered_min: int = Field(
        10_000,
        ge=1,
        description="The last so many ids of a key group count once; twice that at most.",
    )
    future_seconds_max: float = Field(
        86_400.0, ge=0, description="How far after its arrival a transaction may claim to occur."
    )
    lateness_seconds: float = Field(
        900.0, ge=0, description="Event time that an hour stays open for late records."
    )
    hours_close_idle_seconds: float = Field(
        900.0, gt=0, description="A shard without records for so long closes its open hours."
    )
    rejected_share_max: float = Field(
        0.5, ge=0, le=1, description="Part of the last records that may be rejected; 1 is any."
    )
    pages_per_shop_week: float = Field(
        0.1, gt=0, description="False pages that are accepted per shop and week."
    )
    detector_file: FilePath | None = Field(
        None,
        description="JSON file of what else the detector runs with, as `backtest --shadow` takes.",
    )
    processed_retention_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="Days that processed Parquet files are kept, where longer than the rest.",
    )
    processed_intelligent_tiering: bool = Field(
        False,  # noqa: FBT003 -- a field's default
        description="Let S3 move processed Parquet files to cheaper storage by how they are read.",
    )
    history_hours: int = Field(
        6, ge=0, description="Hours between two snapshots that are kept for replays; 0 keeps none."
    )
    business_time_zone: str = Field(
        "shop",
        description="Time zone of a day of business in history; shop is each till's own clock.",
    )
    kcl_properties: FilePath | None = Field(
        None, description="KCL properties file instead of properties/production.properties."
    )
    worker_restarts_max: int = Field(
        8, ge=0, description="Daemon starts that may fail in a row before the worker gives up."
    )
    shutdown_seconds_max: float = Field(
        60.0, gt=0, description="How long SIGTERM waits for the last checkpoint."
    )
    heartbeat_seconds_max: float = Field(
        60.0, ge=5, description="A child that has not beaten for so long is replaced."
    )
    stalled_seconds_max: float = Field(
        600.0,
        ge=60,
        description="A commit, restore or daemon without any progress for so long is replaced too.",
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address that metrics and health are served on."
    )
    metrics_port: int = Field(
        0, ge=0, le=65_535, description="Port of metrics and health; 0 takes a free one."
    )
    measurement_seconds: float = Field(
        30.0, ge=0, description="How often lag and retries are written to OpenSearch; 0 is never."
    )
    dashboards_url: str | None = Field(
        None, description="URL of OpenSearch Dashboards: pages link to it."
    )
    live_view_url: str | None = Field(
        None, description="URL of the live view (`tillwatch console`): pages link to it."
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Log level.")

    @field_validator("aws_endpoint", "kinesis_endpoint", "dashboards_url", "live_view_url")
    @classmethod
    def _no_credentials_in_it(cls, url: str | None) -> str | None:
        return url if url is None else address(url)

    @field_validator("processed_retention_days")
    @classmethod
    def _no_shorter_than_the_rest(cls, days: int | None, info: ValidationInfo) -> int | None:
        rest = info.data.get("retention_days", 0)
        if days is not None and days < rest:
            raise ValueError(f"it must be at least retention_days, which is {rest}")
        return days

    @property
    def own_application(self) -> str:
        """The KCL application that this worker is of: the named one, or a shadow beside it."""
        return self.application if self.shadow is None else self.shadow_of(self.shadow)

    def shadow_of(self, name: str) -> str:
        """The KCL application of the shadow `name`."""
        return f"{self.application}-shadow-{name}"

    @property
    def detector_handed(self) -> str | None:
        """The detector's configuration as a supervisor read it; see consumer/handed.py."""
        return None

    @property
    def archive_keys(self) -> Keys | None:
        """What the raw archive is sealed and opened with; None where there is none."""
        return archive_keys(self.archive_key, self.archive_keys_old)

    @property
    def processed_days(self) -> int:
        """Days that processed Parquet files are kept."""
        return self.processed_retention_days or self.retention_days

    @field_validator("pseudonym_key", "shadow", "detector_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """An empty variable is as good as none: a secret can take a key's place."""
        return value or None

    @field_validator("pseudonym_key_secret")
    @classmethod
    def _one_source_of_the_key(cls, name: str | None, info: ValidationInfo) -> str | None:
        """The key itself or where it lies; empty is as good as not said."""
        if "pseudonym_key" in info.data and (info.data["pseudonym_key"] is None) == (not name):
            raise ValueError("either this or TILLWATCH_PSEUDONYM_KEY must be set, and not both")
        return name or None

    @field_validator("pseudonym_keys_old", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """A variable gives them as `one,other`, or as JSON where a key has a comma in it."""
        if isinstance(value, str) and value.startswith("["):
            return json.loads(value)
        return cls._at_commas(value)

    @field_validator("pseudonym_keys_old")
    @classmethod
    def _long_enough(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value().encode()) < KEY_BYTES_MIN for key in keys):
            raise ValueError(f"a key has {KEY_BYTES_MIN} bytes or more")
        return keys

    @field_validator("archive_key", "archive_keys_old")
    @classmethod
    def _a_key(cls, value: object) -> object:
        for key in value if isinstance(value, tuple) else (value,):
            if isinstance(key, SecretStr):
                key_bytes(key)
        return value

    @field_validator("required_fields", "archive_keys_old", mode="before")
    @classmethod
    def _at_commas(cls, value: object) -> object:
        """A variable gives the fields as `contact,lines`; a file may give a list."""
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("required_fields")
    @classmethod
    def _known_to_the_parser(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        Parser(Pseudonymizer(b"asked for the names of fields alone"), required_fields=names)
        return names


@overload
def load() -> Settings: ...


@overload
def load(kind: type[Kind]) -> Kind: ...


def load(kind: type[OpenSearchSettings] = Settings) -> OpenSearchSettings:
    """The settings of this process; `kind` is OpenSearchSettings for who needs no others.

    Raises:
        SettingsError: one line per setting that is missing or wrong.
    """
    config = os.environ.get(CONFIG_VARIABLE)
    if config and not os.access(config, os.R_OK):
        # pydantic-settings passes over a file that is not there.
        raise SettingsError(f"{CONFIG_VARIABLE} names {config}, which cannot be read")
    try:
        return kind()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        where = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is not UTF-8"
        raise SettingsError(
            f"{CONFIG_VARIABLE} names {config}, which is no TOML: {where}"
        ) from None
    except ValidationError as error:
        lines = [
            f"  TILLWATCH_{'_'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError(
            "these settings are missing or wrong (docs/settings.md says what each means):\n"
            + "\n".join(lines)
        ) from None
