"""Where the key comes from, and that no error says what it is."""

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from consumer.parser import parser_of
from consumer.pseudonym_keys import OLD_KEYS_MAX, handed_down, pseudonym_keys
from consumer.settings import Settings, SettingsError, load
from events.pseudonym import Pseudonymizer

KEY = "correct horse, battery staple"
OLD = "tr0ub4dor&3, and one more"
OLDER = "hunter2 hunter2 hunter2"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        import boto3

        yield boto3.client("secretsmanager", region_name="eu-west-1")


def settings(**more: Any) -> Settings:
    return Settings(
        stream="tills",
        opensearch_url="http://127.0.0.1:1",
        bucket="lake",
        topic_arn="arn:aws:sns:eu-west-1:1:pages",
        dead_letter_queue_url="http://127.0.0.1:1/letters",
        **more,
    )


def test_the_settings_may_hold_the_keys() -> None:
    keys = pseudonym_keys(settings(pseudonym_key=KEY, pseudonym_keys_old=(OLD, OLDER)))
    assert keys.current == KEY.encode()
    assert keys.old == (OLD.encode(), OLDER.encode())
    assert handed_down(settings(pseudonym_key=KEY)) == {}


@pytest.mark.parametrize("by_arn", [False, True])
def test_a_secret_may_hold_the_key_alone(secrets: Any, *, by_arn: bool) -> None:
    arn = secrets.create_secret(Name="tillwatch/key", SecretString=KEY)["ARN"]
    made = settings(pseudonym_key_secret=arn if by_arn else "tillwatch/key")
    assert pseudonym_keys(made).current == KEY.encode()
    assert pseudonym_keys(made).old == ()


def test_a_secret_may_hold_old_keys_too(secrets: Any) -> None:
    secrets.create_secret(
        Name="tillwatch/key", SecretString=json.dumps({"key": KEY, "old": [OLD, OLDER]})
    )
    keys = pseudonym_keys(settings(pseudonym_key_secret="tillwatch/key"))
    assert (keys.current, keys.old) == (KEY.encode(), (OLD.encode(), OLDER.encode()))
    assert keys.pseudonymizer.card_before("k-1") == Pseudonymizer(OLD.encode()).card_token("k-1")
    assert len(keys.every) == 3


def test_children_get_what_the_worker_read_once(
    secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets.create_secret(Name="k", SecretString=json.dumps({"key": KEY, "old": [OLD, OLDER]}))
    for name in [name for name in os.environ if name.startswith("TILLWATCH_")]:
        monkeypatch.delenv(name)
    said = {
        "STREAM": "tills",
        "OPENSEARCH_URL": "http://127.0.0.1:1",
        "BUCKET": "lake",
        "TOPIC_ARN": "arn:aws:sns:eu-west-1:1:pages",
        "DEAD_LETTER_QUEUE_URL": "http://127.0.0.1:1/letters",
        "PSEUDONYM_KEY_SECRET": "k",
    }
    for name, value in said.items():
        monkeypatch.setenv(f"TILLWATCH_{name}", value)
    read = pseudonym_keys(load())
    for name, value in handed_down(load()).items():
        monkeypatch.setenv(name, value)
    secrets.put_secret_value(SecretId="k", SecretString="another key, that came later")
    assert pseudonym_keys(load()) == read
    assert load().pseudonym_key_secret is None


@pytest.mark.parametrize(
    "text",
    [
        "too short",
        "",
        json.dumps({"old": [KEY]}),
        json.dumps({"key": KEY, "old": ["short"]}),
        json.dumps({"key": KEY, "old": [OLD] * (OLD_KEYS_MAX + 1)}),
        json.dumps({"key": KEY, "odl": [OLD]}),
        '{"key": "' + KEY,
    ],
)
def test_a_secret_without_a_key_is_told_without_what_it_holds(secrets: Any, text: str) -> None:
    secrets.create_secret(Name="tillwatch/key", SecretString=text or " ")
    with pytest.raises(SettingsError, match="TILLWATCH_PSEUDONYM_KEY_SECRET names tillwatch/key"):
        raise_from(settings(pseudonym_key_secret="tillwatch/key"), text)


def raise_from(made: Settings, text: str) -> None:
    try:
        pseudonym_keys(made)
    except SettingsError as error:
        said = f"{error} {error.__cause__!r}"
        assert not any(key in said for key in (KEY, OLD, text or KEY))
        raise


def test_a_secret_that_is_not_there_is_told_at_once(secrets: Any) -> None:
    del secrets
    with pytest.raises(SettingsError, match="cannot be read: ResourceNotFoundException"):
        parser_of(settings(pseudonym_key_secret="tillwatch/none"))


def test_a_service_that_does_not_answer_is_waited_for_and_then_told(
    secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del secrets
    asked: list[str] = []

    class Away:
        def get_secret_value(self, **_: Any) -> None:
            asked.append("")
            raise EndpointConnectionError(endpoint_url="https://secretsmanager")

    monkeypatch.setattr("consumer.services.aws_client", lambda *_: Away())
    with pytest.raises(SettingsError, match="names k, which was not read in time"):
        pseudonym_keys(settings(pseudonym_key_secret="k"), seconds_max=1.0)
    assert len(asked) > 1
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(SettingsError, match="not read in time"):
        pseudonym_keys(settings(pseudonym_key_secret="k"), stopped)


def test_no_repr_shows_a_key() -> None:
    made = settings(pseudonym_key=KEY, pseudonym_keys_old=(OLD,))
    keys = pseudonym_keys(made)
    shown = f"{made!r} {made} {keys!r} {keys} {keys.pseudonymizer!r} {keys.every!r}"
    assert KEY not in shown
    assert OLD not in shown
