"""The settings that every command needs that speaks to OpenSearch, and a client made from them."""

import os
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, FilePath, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

CONFIG_VARIABLE = "TILLWATCH_CONFIG"
SERVERLESS = "aoss"


class OpenSearchSettings(BaseSettings):
    """Where OpenSearch is, who asks, and how its indices are kept."""

    model_config = SettingsConfigDict(
        env_prefix="TILLWATCH_",
        hide_input_in_errors=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
    )

    region: str = Field("eu-west-1", description="AWS region.")
    opensearch_url: str = Field(description="URL of OpenSearch.")
    opensearch_user: str | None = Field(None, description="User name for basic authentication.")
    opensearch_password: SecretStr | None = Field(
        None, description="Password for basic authentication."
    )
    opensearch_signing: Literal["es", "aoss"] | None = Field(
        None,
        description="Sign requests for AWS: es is a domain, aoss a serverless collection.",
    )
    opensearch_ca_bundle: FilePath | None = Field(
        None, description="File of the authorities that OpenSearch's certificate is trusted by."
    )
    opensearch_shards: int = Field(
        1, ge=1, le=64, description="Primary shards of a day's index; one holds 30 GB well."
    )
    opensearch_replicas: int = Field(1, ge=0, le=5, description="Copies of every shard.")
    opensearch_refresh_seconds: int = Field(
        5, ge=1, le=600, description="How long a document may wait until it is found."
    )
    retention_days: int = Field(
        30,
        ge=1,
        le=3_650,
        description="Days that indices, the raw archive, dead letters and history are kept.",
    )

    @field_validator("opensearch_url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        return address(url)

    @field_validator("opensearch_signing", mode="before")
    @classmethod
    def _none_if_empty(cls, value: object) -> object:
        return value or None

    @field_validator("opensearch_signing")
    @classmethod
    def _one_way_to_say_who_asks(cls, signing: str | None, info: ValidationInfo) -> str | None:
        if signing and info.data.get("opensearch_user"):
            raise ValueError("either this or TILLWATCH_OPENSEARCH_USER, and not both")
        if signing and str(info.data.get("opensearch_url")).startswith("http://"):
            # The credentials stay here, but what is signed is the customers' business.
            host = str(info.data["opensearch_url"]).removeprefix("http://").split(":", 1)[0]
            if host not in {"127.0.0.1", "localhost"}:
                raise ValueError("AWS is asked over https:// alone")
        return signing

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic-settings' signature
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over environment over secret files over the TOML file."""
        toml = TomlConfigSettingsSource(settings_cls, os.environ.get(CONFIG_VARIABLE))
        return init_settings, env_settings, file_secret_settings, toml


def address(url: str) -> str:
    """`url`, if it is one; a URL is printed where a password must not be."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("it must begin with http:// or https://")
    if "@" in url:
        raise ValueError("it must not hold a user name or password: they have settings")
    if not urlsplit(url).netloc:  # which refuses what is no address in ways of its own
        raise ValueError("it must name a host")
    return url
