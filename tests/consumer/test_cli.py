from importlib.metadata import EntryPoint

import pytest
from click.testing import CliRunner

from consumer import cli


def _points(*, group: str, name: str | None = None) -> list[EntryPoint]:
    points = [
        EntryPoint("demo", "a_module_that_is_nowhere.demo:demo", group),
        EntryPoint("verdict", "consumer.verdict:verdict", group),
    ]
    return [point for point in points if name in (None, point.name)]


def test_a_command_whose_modules_are_not_installed_is_listed_and_says_so_when_it_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cli, "entry_points", _points)
    listed = CliRunner().invoke(cli.main, ["--help"])
    assert listed.exit_code == 0
    assert "demo" in listed.output
    assert "a_module_that_is_nowhere" in listed.output
    assert "verdict" in listed.output
    called = CliRunner().invoke(cli.main, ["demo", "--once", "--input", "x"])
    assert called.exit_code == 1
    assert "needs the Python module a_module_that_is_nowhere" in called.output
    assert CliRunner().invoke(cli.main, ["verdict", "--help"]).exit_code == 0


def test_an_unknown_command_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "entry_points", _points)
    outcome = CliRunner().invoke(cli.main, ["verdicts"])
    assert outcome.exit_code == 2
    assert "No such command" in outcome.output
