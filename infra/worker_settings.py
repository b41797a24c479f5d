"""The worker's settings, as a deployment gives them: the environment of its container.

Names come from the fields of `consumer.settings.Settings`; one that is renamed there is refused
here, and so are values that the worker would refuse when it starts.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from consumer.settings import Settings

METRICS_PORT: Final = 9464
"""On loopback, which the containers of one task share."""

_PLACED: Final = {
    "stream": "tillwatch",
    "opensearch_url": "https://search.invalid",
    "opensearch_signing": "es",
    "bucket": "tillwatch",
    "topic_arn": "arn:aws:sns:eu-west-1:123456789012:tillwatch",
    "dead_letter_queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/tillwatch",
    "ledger_table": "tillwatch-ledger",
    "pseudonym_key_secret": "tillwatch",
    "metrics_port": METRICS_PORT,
}
"""What the stacks say, in the form that it will have: while they are made it is not known yet."""

_SECRET: Final = frozenset(
    {
        "pseudonym_key",
        "pseudonym_keys_old",
        "archive_key",
        "archive_keys_old",
        "opensearch_user",
        "opensearch_password",
    }
)
"""A template is read by many: these come out of Secrets Manager, or not at all."""

_NOT_HERE: Final = frozenset({"shadow"})
"""It would make a shadow of the workers, and nobody would be told of anything."""


class Declared(Settings):
    """Settings that come from the plan alone, and not from the shell of who deploys."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- likewise
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- likewise
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, and nothing else."""
        return (init_settings,)


def declared(chosen: Mapping[str, str]) -> Declared:
    """The settings with what somebody chose.

    Raises:
        pydantic.ValidationError: one of them is none, is wrong, or is not for people to choose.
    """
    refused = chosen.keys() & (_PLACED.keys() | _SECRET | _NOT_HERE)
    values: dict[str, Any] = {
        **{name: text for name, text in chosen.items() if name not in refused},
        **{f"{name}_is_not_chosen_here": "" for name in refused},
        **_PLACED,
    }
    return Declared(**values)


def environment(placed: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Environment variables of the worker: what the stacks made, and what somebody chose.

    Raises:
        ValueError: `placed` leaves something out, or names what is no setting.
    """
    if placed.keys() != _PLACED.keys():
        raise ValueError(f"not as declared: {sorted(placed.keys() ^ _PLACED.keys())}")
    named = {**placed, **chosen}
    strays = named.keys() - Settings.model_fields.keys()
    if strays:
        raise ValueError(f"{sorted(strays)} are no settings")
    return {f"TILLWATCH_{name.upper()}": value for name, value in named.items()}
