"""The keys that cards and contacts are hashed with: from the settings, or from Secrets Manager."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta

from events.pseudonym import KEY_BYTES_MIN, Pseudonymizer
from sinks.aws_errors import passes
from sinks.deadline import Deadline
from sinks.retry import Retry
from sinks.sink import Stopped

if TYPE_CHECKING:
    from consumer.settings import Settings

SECRET_SECONDS_MAX: Final = 30.0
"""How long Secrets Manager may take to hand the key out, all tries together."""

OLD_KEYS_MAX: Final = 16
"""Earlier keys in one secret, or in the settings."""

_SETTING: Final = "TILLWATCH_PSEUDONYM_KEY_SECRET"


class PseudonymKeys(msgspec.Struct, frozen=True):
    """The key that hashes, and the earlier ones, the latest first."""

    current: bytes
    old: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"PseudonymKeys(…, {len(self.old)} old)"

    @property
    def pseudonymizer(self) -> Pseudonymizer:
        """What a worker hashes with: it knows cards again that the latest old key hashed."""
        return Pseudonymizer(self.current, before=self.old[0] if self.old else None)

    @property
    def every(self) -> tuple[Pseudonymizer, ...]:
        """One for each key, the current first: under any of them something may be kept."""
        return tuple(Pseudonymizer(key) for key in (self.current, *self.old))


class _Secret(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    old: Annotated[tuple[str, ...], Meta(max_length=OLD_KEYS_MAX)] = ()


def pseudonym_keys(
    settings: Settings,
    stop: threading.Event | None = None,
    *,
    seconds_max: float = SECRET_SECONDS_MAX,
) -> PseudonymKeys:
    """The keys that `settings` hold or name.

    Raises:
        SettingsError: the secret cannot be read, not in `seconds_max` either, or holds no key; the
            message holds nothing of it.
    """
    if settings.pseudonym_key is not None:
        current = settings.pseudonym_key.get_secret_value()
        old = [key.get_secret_value() for key in settings.pseudonym_keys_old]
        return PseudonymKeys(current.encode(), tuple(key.encode() for key in old))
    name = settings.pseudonym_key_secret or ""
    return _keys_in(name, _secret(settings, name, Deadline(seconds_max, stop)))


def handed_down(settings: Settings) -> dict[str, str]:
    """Settings of a worker's children as environment variables: the secret is read once for all.

    So the shards of one worker never hash with two keys, and a child that is replaced while
    Secrets Manager is away starts all the same. Empty where the key stands in the settings.

    Raises:
        SettingsError: as `pseudonym_keys`.
    """
    if settings.pseudonym_key_secret is None:
        return {}
    keys = pseudonym_keys(settings)
    return {
        _SETTING: "",
        "TILLWATCH_PSEUDONYM_KEY": keys.current.decode(),
        "TILLWATCH_PSEUDONYM_KEYS_OLD": json.dumps([key.decode() for key in keys.old]),
    }


def _secret(settings: Settings, name: str, deadline: Deadline) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    from consumer.services import aws_client

    client = aws_client(settings, "secretsmanager")
    try:
        answer: dict[str, Any] = Retry("secretsmanager", deadline, passes=passes).call(
            lambda: client.get_secret_value(SecretId=name)
        )
    except Stopped as error:
        raise _wrong(f"{_SETTING} names {name}, which was not read in time") from error
    except (ClientError, BotoCoreError) as error:
        code = type(error).__name__
        if isinstance(error, ClientError):
            code = error.response.get("Error", {}).get("Code", code)
        raise _wrong(f"{_SETTING} names {name}, which cannot be read: {code}") from error
    return str(answer.get("SecretString") or "")


def _keys_in(name: str, text: str) -> PseudonymKeys:
    """The keys in a secret: a JSON object with `key` and `old`, or the key alone."""
    secret = _Secret(text)
    if text.lstrip().startswith("{"):
        try:
            secret = msgspec.json.decode(text, type=_Secret)
        except msgspec.DecodeError:
            raise _wrong(
                f'{_SETTING} names {name}, which holds no JSON object such as {{"key": "…", "old":'
                f' ["…"]}}, of {OLD_KEYS_MAX} old keys at most'
            ) from None
    keys = [key.encode() for key in (secret.key, *secret.old)]
    if any(len(key) < KEY_BYTES_MIN for key in keys):
        raise _wrong(
            f"{_SETTING} names {name}, which holds a key of fewer than {KEY_BYTES_MIN} bytes"
        )
    return PseudonymKeys(keys[0], tuple(keys[1:]))


def _wrong(text: str) -> Exception:
    """The SettingsError that says so; a child, whose settings were handed to it, needs it not."""
    from consumer.settings import SettingsError

    return SettingsError(text)
