from pathlib import Path

import pytest
from click.testing import CliRunner

from console.serve import console


def test_without_credentials_to_sign_with_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("TILLWATCH_OPENSEARCH_URL", "https://search.example")
    monkeypatch.setenv("TILLWATCH_OPENSEARCH_SIGNING", "es")
    monkeypatch.setenv("TILLWATCH_REGION", "eu-west-2")
    outcome = CliRunner().invoke(console, [])
    assert outcome.exit_code == 1
    assert "give this process a role" in outcome.output
    assert isinstance(outcome.exception, SystemExit)  # an answer, and no traceback


def test_without_an_address_of_opensearch_it_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TILLWATCH_OPENSEARCH_URL", raising=False)
    outcome = CliRunner().invoke(console, [])
    assert outcome.exit_code == 1
    assert "TILLWATCH_OPENSEARCH_URL is not set" in outcome.output
