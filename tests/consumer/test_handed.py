"""A child takes its settings over from the supervisor, and imports no more than it needs."""

import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from pydantic import SecretStr

from consumer.candidate import detector_config
from consumer.handed import VARIABLE, hand, handed
from consumer.settings import Settings, SettingsError

_REQUIRED = {
    "stream": "tills",
    "opensearch_url": "http://127.0.0.1:9200",
    "bucket": "lake",
    "topic_arn": "arn:aws:sns:eu-west-1:1:pages",
    "dead_letter_queue_url": "http://127.0.0.1:9/letters",
}
_KEYS = [b64encode(bytes([number]) * 32).decode() for number in range(3)]


def _given(folder: Path, shadow: str | None = "dusk") -> Settings:
    """Settings with a value of every kind."""
    file = folder / "authorities"
    file.write_text("")
    return Settings(
        **_REQUIRED,  # type: ignore[arg-type]  # all of them text
        application="tillwatch",
        shadow=shadow,
        pseudonym_key=SecretStr("correct horse battery staple"),
        pseudonym_keys_old=(SecretStr("an older horse, an older staple"),),
        archive_key=SecretStr(_KEYS[0]),
        archive_keys_old=(SecretStr(_KEYS[1]), SecretStr(_KEYS[2])),
        opensearch_ca_bundle=file,
        snapshot_directory=folder,
        required_fields=("contact", "lines"),
        lateness_seconds=90,
        key_groups=4,
    )


def _open(value: object) -> object:
    """`value` as it is, secrets too."""
    if isinstance(value, tuple):
        return tuple(map(_open, value))
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


@pytest.mark.parametrize("bare", [True, False])
def test_every_setting_comes_over_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, bare: bool
) -> None:
    settings = _given(tmp_path)
    if bare:
        key = {"pseudonym_key": SecretStr("correct horse battery staple")}
        settings = Settings(**_REQUIRED, **key)  # type: ignore[arg-type]  # likewise
    for name, value in hand(settings).items():
        monkeypatch.setenv(name, value)
    taken = handed()
    assert not isinstance(taken, Settings)
    for name in Settings.model_fields:
        ours, theirs = _open(getattr(taken, name)), _open(getattr(settings, name))
        assert (type(ours), ours) == (type(theirs), theirs), name
    assert taken.own_application == settings.own_application
    assert repr(taken.archive_keys) == repr(settings.archive_keys)


def test_a_secret_that_was_handed_over_does_not_show(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in hand(_given(tmp_path)).items():
        monkeypatch.setenv(name, value)
    taken = handed()
    shown = f"{taken!r} {vars(taken)!r} {taken.archive_keys!r}"
    assert "horse" not in shown
    assert not any(key in shown for key in _KEYS)


def test_the_detectors_file_is_read_once_for_all_children(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "candidate.json"
    file.write_text('{"pages_per_shop_week": 2, "without": ["cashier"]}')
    settings = _given(tmp_path).model_copy(update={"detector_file": file})
    supervisors = detector_config(settings)
    for name, value in hand(settings).items():
        monkeypatch.setenv(name, value)
    for text in ('{"pages_per_shop_week": 3}', "{"):
        file.write_text(text)  # while the worker runs
        assert detector_config(handed()) == supervisors
    file.unlink()
    assert detector_config(handed()) == supervisors
    assert supervisors.without == ("cashier",)


def test_a_detectors_file_that_is_none_is_refused_before_a_child_is_started(
    tmp_path: Path,
) -> None:
    file = tmp_path / "candidate.json"
    file.write_text('{"pages": 2}')
    with pytest.raises(SettingsError, match="TILLWATCH_DETECTOR_FILE"):
        hand(_given(tmp_path).model_copy(update={"detector_file": file}))


def test_a_process_that_nothing_was_handed_to_reads_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("TILLWATCH_BUCKET", "")
    with pytest.raises(SettingsError, match="TILLWATCH_STREAM"):
        handed()


_IMPORTS = """
import sys
import consumer.child
from sinks.arrow_memory import import_lean_arrow
import_lean_arrow()
from consumer.candidate import detector_config
from consumer.handed import handed
from consumer.services import Services, aws_client
import threading
settings = handed()
Services(settings, threading.Event())
from consumer.child import Assembly, build_pipeline
from consumer.parser import parser_of
parser_of(settings)
import pyarrow.parquet, sinks.rows, sinks.final_file, sinks.page_rows
for name in ("boto3", "s3transfer", "pandas", "pydantic", "pydantic_core", "pydantic_settings",
             "pyarrow._s3fs", "pyarrow._gcsfs", "pyarrow.dataset", "scipy", "narwhals", "click",
             "duckdb", "aiohttp", "consumer.settings"):
    assert name not in sys.modules, name
"""
"""What is named there costs a child 1 to 50 MiB, and it does nothing with it."""


def test_a_child_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    environment = {
        **hand(_given(tmp_path, shadow=None)),
        "PATH": "/usr/bin",
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "TILLWATCH_WORKER_ID": "a-worker",
    }
    subprocess.run([sys.executable, "-c", _IMPORTS], env=environment, check=True, timeout=240)
