"""The command line, and what `tillwatch run` says before it starts anything."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from click.testing import CliRunner

from consumer.cli import main

DEADLINE_SECONDS = 60
JAVA = """#!/bin/sh
trap 'printf "INFO\\tdaemon\\t\\tended by SIGTERM\\n"; exit 0' TERM
printf "INFO\\tdaemon\\t\\tup\\n"
while :; do sleep 0.05; done
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(JAVA)
    java.chmod(0o700)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **kept,
        "JAVA_HOME": str(tmp_path / "java"),
        "TMPDIR": str(tmp_path),
        "TILLWATCH_STREAM": "tills",
        "TILLWATCH_OPENSEARCH_URL": "http://127.0.0.1:9",
        "TILLWATCH_BUCKET": "lake",
        "TILLWATCH_TOPIC_ARN": "arn:aws:sns:eu-west-1:1:pages",
        "TILLWATCH_DEAD_LETTER_QUEUE_URL": "http://127.0.0.1:9/letters",
        "TILLWATCH_PSEUDONYM_KEY": "correct horse battery staple",
    }


def command(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from consumer.cli import main; main()", "run"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_the_daemon_until_it_is_told_to_stop(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    with command(environment) as process:
        try:
            assert process.stderr is not None
            lines = []
            while not lines or lines[-1]["logger"] != "kcl.daemon":
                lines.append(json.loads(process.stderr.readline()))
            process.send_signal(number)
            out, err = process.communicate(timeout=DEADLINE_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
    assert process.returncode == 0
    assert out == ""
    lines += [json.loads(line) for line in err.splitlines()]
    messages = [line["message"] for line in lines]
    assert messages[:3] == [
        "metrics and health are served",
        "there is no raw archive: TILLWATCH_ARCHIVE_KEY is not set",
        "started the KCL daemon",
    ]
    assert lines[0]["host"] == "127.0.0.1"
    assert "ended by SIGTERM" in messages
    assert messages[-1] == "ended"
    assert lines[-1]["status"] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["java"], "it left a folder behind"


def test_it_serves_metrics_and_health_where_its_log_says(environment: dict[str, str]) -> None:
    with command(environment) as process:
        try:
            assert process.stderr is not None
            served = json.loads(process.stderr.readline())
            while json.loads(process.stderr.readline())["logger"] != "kcl.daemon":
                pass
            connection = HTTPConnection("127.0.0.1", served["port"], timeout=DEADLINE_SECONDS)
            answers = {}
            for path in ("/healthz", "/readyz", "/metrics"):
                connection.request("GET", path)
                answer = connection.getresponse()
                answers[path] = (answer.status, answer.read().decode())
                connection.close()
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE_SECONDS)
    assert answers["/healthz"][0] == 200
    # The daemon is up, and has no shard: this one never will.
    status, body = answers["/readyz"]
    assert status == 503
    assert json.loads(body)["why"] == ["no shard yet"]
    assert "tillwatch_daemon_up 1.0" in answers["/metrics"][1].splitlines()


def test_a_port_that_is_taken_is_said_in_plain_words(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment["TILLWATCH_METRICS_PORT"] = str(taken.getsockname()[1])
        with command(environment) as process:
            _, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1
    assert "TILLWATCH_METRICS_PORT" in err
    assert "Traceback" not in err
    assert "started" not in err


def test_bad_settings_are_said_in_plain_words_and_nothing_is_started(
    environment: dict[str, str], tmp_path: Path
) -> None:
    del environment["TILLWATCH_STREAM"]
    environment["TILLWATCH_PSEUDONYM_KEY"] = "hunter2"
    with command(environment) as process:
        out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1
    assert out == ""
    assert "TILLWATCH_STREAM" in err
    assert "TILLWATCH_PSEUDONYM_KEY" in err
    assert "hunter2" not in err
    assert "Traceback" not in err
    assert "started" not in err


def test_a_java_home_without_java_is_said_in_plain_words(environment: dict[str, str]) -> None:
    environment["JAVA_HOME"] = "/nowhere"
    with command(environment) as process:
        _, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1
    assert "JAVA_HOME is /nowhere" in err
    assert "Traceback" not in err


def test_every_command_is_listed_and_comes_when_it_is_called() -> None:
    listed = CliRunner().invoke(main, ["--help"])
    assert listed.exit_code == 0
    for name in ("run", "backtest"):
        assert name in listed.output
        shown = CliRunner().invoke(main, [name, "-h"])
        assert shown.exit_code == 0
        assert "Usage" in shown.output


def test_a_command_that_there_is_not_is_an_error_of_usage() -> None:
    result = CliRunner().invoke(main, ["dance"])
    assert result.exit_code == 2
    assert "dance" in result.output
