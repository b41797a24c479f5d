"""Settings: one typed place, every fault at once, no secret in anything that is printed."""

from base64 import b64encode
from pathlib import Path

import pytest

from consumer.opensearch_settings import OpenSearchSettings
from consumer.settings import Settings, SettingsError, load
from sinks.archive_seal import Keys

SECRETS = {
    "TILLWATCH_PSEUDONYM_KEY": "correct horse battery staple",
    "TILLWATCH_OPENSEARCH_PASSWORD": "swordfish-swordfish",
}
COMPLETE = {
    "TILLWATCH_STREAM": "tills",
    "TILLWATCH_OPENSEARCH_URL": "https://search.example:9200",
    "TILLWATCH_BUCKET": "lake",
    "TILLWATCH_TOPIC_ARN": "arn:aws:sns:eu-west-1:1:pages",
    "TILLWATCH_DEAD_LETTER_QUEUE_URL": "https://sqs.example/letters",
    **SECRETS,
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("TILLWATCH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def set_all(monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    for name, value in (COMPLETE | more).items():
        monkeypatch.setenv(name, value)


def config(monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> Path:
    file = Path("tillwatch.toml")
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    monkeypatch.setenv("TILLWATCH_CONFIG", str(file))
    return file


def refusal() -> str:
    with pytest.raises(SettingsError) as refused:
        load()
    return str(refused.value)


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch)
    config(
        monkeypatch,
        'stream = "from-the-file"\nregion = "eu-north-1"\nkey_groups = 8\n'
        'required_fields = ["contact", "lines"]\n',
    )
    settings = load()
    assert settings.stream == "tills"
    assert settings.region == "eu-north-1"
    assert settings.key_groups == 8
    assert settings.required_fields == ("contact", "lines")


def test_a_file_alone_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        f'{name.removeprefix("TILLWATCH_").lower()} = "{value}"' for name, value in COMPLETE.items()
    )
    config(monkeypatch, "\n".join(lines))
    assert load().bucket == "lake"


def test_what_is_not_said_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch)
    settings = load()
    for name, field in Settings.model_fields.items():
        if not field.is_required() and f"TILLWATCH_{name.upper()}" not in COMPLETE:
            assert getattr(settings, name) == field.default


def test_all_faults_are_listed_at_once_by_the_names_a_person_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_all(
        monkeypatch,
        TILLWATCH_KEY_GROUPS="0",
        TILLWATCH_BATCH_RECORDS_MAX="many",
        TILLWATCH_LOG_LEVEL="loud",
        TILLWATCH_LATENESS_SECONDS="inf",
        TILLWATCH_OPENSEARCH_URL="search.example:9200",
        TILLWATCH_KCL_PROPERTIES="no/such/file.properties",
        TILLWATCH_REQUIRED_FIELDS="contact,contacts",
    )
    monkeypatch.delenv("TILLWATCH_STREAM")
    config(monkeypatch, 'streem = "tills"\nbatch_seconds_max = 0\n')
    said = refusal()
    wrong = {line.split(":")[0].strip() for line in said.splitlines() if line.startswith("  ")}
    assert wrong == {
        "TILLWATCH_STREAM",
        "TILLWATCH_STREEM",
        "TILLWATCH_KEY_GROUPS",
        "TILLWATCH_BATCH_RECORDS_MAX",
        "TILLWATCH_BATCH_SECONDS_MAX",
        "TILLWATCH_LOG_LEVEL",
        "TILLWATCH_LATENESS_SECONDS",
        "TILLWATCH_OPENSEARCH_URL",
        "TILLWATCH_KCL_PROPERTIES",
        "TILLWATCH_REQUIRED_FIELDS",
    }
    assert "docs/settings.md" in said


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch)
    settings = load()
    for secret in SECRETS.values():
        for shown in (repr(settings), str(settings), str(settings.model_dump())):
            assert secret not in shown
        assert secret not in settings.model_dump_json()
    assert settings.pseudonym_key.get_secret_value() == SECRETS["TILLWATCH_PSEUDONYM_KEY"]


@pytest.mark.parametrize(
    ("key", "secret", "good"),
    [
        (SECRETS["TILLWATCH_PSEUDONYM_KEY"], "", True),
        ("", "tillwatch/key", True),
        ("", "", False),
        (None, "tillwatch/key", True),
        (None, None, False),
        (None, "", False),
        (SECRETS["TILLWATCH_PSEUDONYM_KEY"], "tillwatch/key", False),
    ],
)
def test_the_pseudonym_key_has_one_source(
    monkeypatch: pytest.MonkeyPatch, key: str | None, secret: str | None, *, good: bool
) -> None:
    set_all(monkeypatch)
    for name, value in (("", key), ("_SECRET", secret)):
        if value is None:
            monkeypatch.delenv(f"TILLWATCH_PSEUDONYM_KEY{name}", raising=False)
        else:
            monkeypatch.setenv(f"TILLWATCH_PSEUDONYM_KEY{name}", value)
    if good:
        settings = load()
        assert (settings.pseudonym_key is None) == (settings.pseudonym_key_secret is not None)
    else:
        assert "TILLWATCH_PSEUDONYM_KEY" in refusal()


def test_old_keys_are_a_list_and_may_have_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, TILLWATCH_PSEUDONYM_KEYS_OLD="hunter2 hunter2 hunter2,swordfish swordfish")
    old = [key.get_secret_value() for key in load().pseudonym_keys_old]
    assert old == ["hunter2 hunter2 hunter2", "swordfish swordfish"]
    monkeypatch.setenv("TILLWATCH_PSEUDONYM_KEYS_OLD", '["hunter2, hunter2, hunter2"]')
    assert load().pseudonym_keys_old[0].get_secret_value() == "hunter2, hunter2, hunter2"
    for wrong in ("hunter2", '["hunter2 hunter2 hunter2'):
        monkeypatch.setenv("TILLWATCH_PSEUDONYM_KEYS_OLD", wrong)
        assert "hunter2" not in refusal()


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("TILLWATCH_PSEUDONYM_KEY", "hunter2"),
        ("TILLWATCH_OPENSEARCH_URL", "https://admin:hunter2@search.example"),
        ("TILLWATCH_AWS_ENDPOINT", "hunter2"),
        ("TILLWATCH_KEY_GROUPS", "hunter2"),
    ],
)
def test_a_fault_names_the_setting_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, secret: str
) -> None:
    set_all(monkeypatch, **{name: secret})
    with pytest.raises(SettingsError) as refused:
        load()
    assert name in str(refused.value)
    error: BaseException | None = refused.value
    assert "hunter2" not in repr(error)
    assert error is not None
    assert error.__cause__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize(
    ("given", "fields"),
    [("", ()), ("contact", ("contact",)), (" contact , lines,", ("contact", "lines"))],
)
def test_a_list_in_a_variable_is_written_with_commas(
    monkeypatch: pytest.MonkeyPatch, given: str, fields: tuple[str, ...]
) -> None:
    set_all(monkeypatch, TILLWATCH_REQUIRED_FIELDS=given)
    assert load().required_fields == fields


def test_a_config_file_that_is_not_there_is_said_and_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_all(monkeypatch, TILLWATCH_CONFIG="gone.toml")
    assert "gone.toml" in refusal()


@pytest.mark.parametrize("text", [b"stream: tills\n", b"stream = '\xff'\n"])
def test_a_config_file_that_is_no_toml_is_named(
    monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    set_all(monkeypatch)
    file = config(monkeypatch, text)
    assert str(file) in refusal()


def test_settings_stay_as_they_were_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch)
    with pytest.raises(ValueError, match="frozen"):
        load().stream = "another"  # type: ignore[misc]  # the point of the test


def test_processed_files_are_kept_as_long_as_the_rest_or_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_all(monkeypatch, TILLWATCH_RETENTION_DAYS="40")
    assert load().processed_days == 40
    monkeypatch.setenv("TILLWATCH_PROCESSED_RETENTION_DAYS", "400")
    assert load().processed_days == 400
    monkeypatch.setenv("TILLWATCH_PROCESSED_RETENTION_DAYS", "39")
    assert "TILLWATCH_PROCESSED_RETENTION_DAYS: " in refusal()
    assert "at least retention_days, which is 40" in refusal()


def test_archive_keys_are_taken_the_newest_seals_and_all_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_all(monkeypatch)
    assert load().archive_keys is None
    new, old, older = (b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
    set_all(monkeypatch, TILLWATCH_ARCHIVE_KEY=new, TILLWATCH_ARCHIVE_KEYS_OLD=f"{old}, {older}")
    keys = load().archive_keys
    assert keys is not None
    for sealed_with in (1, 2, 3):
        sealed = Keys(bytes([sealed_with]) * 32).seal(b"content", b"")
        assert keys.open(sealed, b"") == b"content"
    assert keys.seal(b"content", b"") == Keys(bytes([1]) * 32).seal(b"content", b"")


@pytest.mark.parametrize("name", ["TILLWATCH_ARCHIVE_KEY", "TILLWATCH_ARCHIVE_KEYS_OLD"])
@pytest.mark.parametrize(
    ("key", "why"), [("c3dvcmRmaXNo", "32 bytes"), ("swordfish-swordfish!", "base64")]
)
def test_an_archive_key_that_is_none_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, key: str, why: str
) -> None:
    set_all(monkeypatch, **{name: key})
    told = refusal()
    assert name in told
    assert why in told
    assert key not in told


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"TILLWATCH_OPENSEARCH_USER": "u"}, "and not both"),
        ({"TILLWATCH_OPENSEARCH_URL": "http://search.example"}, "AWS is asked over https"),
        ({"TILLWATCH_OPENSEARCH_SIGNING": "s3"}, "TILLWATCH_OPENSEARCH_SIGNING: "),
        ({"TILLWATCH_OPENSEARCH_CA_BUNDLE": "/no/such/file"}, "TILLWATCH_OPENSEARCH_CA_BUNDLE: "),
    ],
)
def test_who_asks_opensearch_is_said_in_one_way(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, str], words: str
) -> None:
    set_all(monkeypatch, TILLWATCH_OPENSEARCH_SIGNING="es")
    assert load().opensearch_signing == "es"
    set_all(monkeypatch, **{"TILLWATCH_OPENSEARCH_SIGNING": "es"} | more)
    assert words in refusal()


def test_a_command_of_opensearch_needs_no_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLWATCH_OPENSEARCH_URL", "https://search.example")
    config(monkeypatch, 'stream = "tills"\nretention_days = 7\n')
    settings = load(OpenSearchSettings)
    assert (settings.opensearch_url, settings.retention_days) == ("https://search.example", 7)
    monkeypatch.delenv("TILLWATCH_OPENSEARCH_URL")
    with pytest.raises(SettingsError, match="TILLWATCH_OPENSEARCH_URL: Field required"):
        load(OpenSearchSettings)
