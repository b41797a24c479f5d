"""How the daemon is started: its properties, its Java, and the program that it runs per shard."""

import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from consumer.daemon import JavaMissingError, java, prepare, properties
from consumer.settings import Settings

DEADLINE_SECONDS = 120
FOLDER = files("properties")
CLOSED = "http://127.0.0.1:9"
"""Nobody answers at the discard port."""
KCL_DEFAULTS = {
    "leaseAssignmentIntervalMillis": 20_000,  # twice the time of failover
    "shardSyncIntervalMillis": 60_000,
    "parentShardPollIntervalMillis": 10_000,
}


def settings(**more: object) -> Settings:
    complete: dict[str, object] = {
        "application": "tills-eu",
        "stream": "tills",
        "region": "eu-north-1",
        "opensearch_url": CLOSED,
        "bucket": "lake",
        "topic_arn": "arn:aws:sns:eu-west-1:1:pages",
        "dead_letter_queue_url": "https://sqs.example/letters",
        "pseudonym_key": "correct horse battery staple",
    }
    return Settings.model_validate(complete | more)


def parse(text: str) -> dict[str, str]:
    """Java's properties as these files use them: `name = value`, `#` for comments."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            assert not re.search(r"[\\:!]", name), line
            found[name.strip()] = value.strip()
    return found


def shipped(name: str) -> dict[str, str]:
    return parse(FOLDER.joinpath(f"{name}.properties").read_text())


@pytest.fixture(autouse=True)
def no_settings_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TILLWATCH_"):
            monkeypatch.delenv(name)


# -- properties -----------------------------------------------------------------------------------


def test_properties_are_completed_from_the_settings() -> None:
    found = parse(properties(settings(), "/somewhere/child", "worker-1"))
    completed = {name: found[name] for name in found if name not in shipped("production")}
    assert completed == {
        "applicationName": "tills-eu",
        "streamName": "tills",
        "regionName": "eu-north-1",
        "executableName": "/somewhere/child",
        "workerId": "worker-1",
        "AwsCredentialsProvider": "DefaultCredentialsProvider",
        "processingLanguage": f"python/{sys.version_info.major}.{sys.version_info.minor}",
    }
    assert shipped("production").items() <= found.items()


def test_with_another_endpoint_the_daemon_goes_nowhere_else() -> None:
    found = parse(properties(settings(aws_endpoint=CLOSED), "/somewhere/child", "worker-1"))
    assert found["kinesisEndpoint"] == found["dynamoDBEndpoint"] == CLOSED
    assert found["metricsLevel"] == "NONE"
    assert shipped("production")["metricsLevel"] != "NONE"


def test_a_file_of_ones_own_takes_the_place_of_productions(tmp_path: Path) -> None:
    own = tmp_path / "own.properties"
    own.write_text("maxRecords = 17\nstreamName = overruled\n")
    found = parse(properties(settings(kcl_properties=own), "/somewhere/child", "worker-1"))
    assert found["maxRecords"] == "17"
    assert found["streamName"] == "tills"
    assert "failoverTimeMillis" not in found


def test_no_secret_is_in_the_properties() -> None:
    assert "horse" not in properties(settings(), "/somewhere/child", "worker-1")


def test_production_keeps_what_its_comments_promise() -> None:
    found = shipped("production")
    assert found["initialPositionInStream"] == "TRIM_HORIZON"
    batch_records_max = Settings.model_fields["batch_records_max"].default
    assert batch_records_max % int(found["maxRecords"]) == 0
    assert int(found["maxRecords"]) <= 10_000
    assert found["callProcessRecordsEvenForEmptyRecordList"] == "true"
    default = Settings.model_fields["shutdown_seconds_max"].default
    assert 0 < int(found["shutdownGraceMillis"]) < default * 1_000
    assert found["clientVersionConfig"] == "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X"
    assert "timeoutInSeconds" not in found
    assert found["validateSequenceNumberBeforeCheckpointing"] == "false"
    text = FOLDER.joinpath("production.properties").read_text()
    for name in parse(properties(settings(aws_endpoint=CLOSED), "/somewhere/child", "worker-1")):
        assert name in found or name in text, f"production.properties does not tell of {name}"


def test_local_is_productions_with_shorter_waits_and_no_metrics() -> None:
    local, production = shipped("local"), shipped("production")
    assert local.pop("metricsLevel") == "NONE"
    assert production.pop("metricsLevel") == "SUMMARY"
    assert production.keys() <= local.keys()
    for name, value in local.items():
        if name.endswith("Millis"):
            usual = int(production[name]) if name in production else KCL_DEFAULTS[name]
            assert int(value) < usual, name
        else:
            assert value == production[name], name


def test_neither_file_sets_what_the_settings_complete() -> None:
    completed = parse(properties(settings(), "/x", "w")).keys() - shipped("production").keys()
    for name in ("production", "local"):
        assert not completed & shipped(name).keys()


def test_every_property_is_one_that_the_daemon_knows() -> None:
    jar = next(
        jar
        for jar in files("amazon_kclpy").joinpath("jars").iterdir()
        if "kinesis-client-multilang" in jar.name
    )
    package = "software/amazon/kinesis/multilang/"
    with zipfile.ZipFile(str(jar)) as classes:
        known = classes.read(f"{package}config/MultiLangDaemonConfiguration.class")
        own = classes.read(f"{package}MultiLangDaemonConfig.class")
    names = (
        parse(properties(settings(aws_endpoint=CLOSED), "/x", "w")).keys() | shipped("local").keys()
    )
    for name in names:
        setter = f"set{name[0].upper()}{name[1:]}".encode()
        assert setter in known or name.encode() in own, name


# -- Java -----------------------------------------------------------------------------------------


def test_the_java_that_comes_along_runs_where_none_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    asked = subprocess.run([java(), "-version"], capture_output=True, text=True, check=True)
    assert "version" in asked.stderr


def test_java_home_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java() == str(program)
    assert prepare(settings(), tmp_path)[0] == str(program)


@pytest.mark.parametrize("kind", ["nothing", "folder", "not to be run"])
def test_a_java_home_without_java_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    program = tmp_path / "bin" / "java"
    if kind == "folder":
        program.mkdir(parents=True)
    elif kind == "not to be run":
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        program.chmod(0o600)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(JavaMissingError, match="unset it") as refused:
        java()
    assert str(tmp_path) in str(refused.value)


# -- the command ----------------------------------------------------------------------------------


def test_the_embedded_endpoint_is_spoken_to_without_cbor(tmp_path: Path) -> None:
    flag = "-Daws.cborEnabled=false"
    assert flag in prepare(settings(aws_endpoint=CLOSED), tmp_path)
    assert flag not in prepare(settings(), tmp_path)


def test_kinesis_may_have_an_endpoint_of_its_own_which_reads_cbor(tmp_path: Path) -> None:
    own = settings(aws_endpoint=CLOSED, kinesis_endpoint="http://127.0.0.1:10")
    found = parse(properties(own, "/somewhere/child", "worker-1"))
    assert found["kinesisEndpoint"] == "http://127.0.0.1:10"
    assert found["dynamoDBEndpoint"] == CLOSED
    assert "-Daws.cborEnabled=false" not in prepare(own, tmp_path)


def test_the_child_program_works_with_a_python_whose_path_has_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaced = tmp_path / "my programs" / "python $HOME 'x'"
    spaced.parent.mkdir()
    spaced.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    spaced.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(spaced))
    prepare(settings(), tmp_path)
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    child = subprocess.run(
        [str(tmp_path / "child")],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert child.returncode == 1
    assert "TILLWATCH_STREAM" in child.stderr
    assert child.stdout == ""


@pytest.fixture
def no_credentials_of_others(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("AWS_") or name == "JAVA_HOME":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    return


@pytest.mark.integration
@pytest.mark.parametrize("name", ["production", "local"])
@pytest.mark.usefixtures("no_credentials_of_others")
def test_the_real_daemon_reads_the_properties_as_they_are_meant(tmp_path: Path, name: str) -> None:
    chosen = Path(str(FOLDER.joinpath(f"{name}.properties")))
    command = prepare(settings(aws_endpoint=CLOSED, kcl_properties=chosen), tmp_path)
    expected = parse((tmp_path / "kcl.properties").read_text())
    taken: dict[str, str] = {}
    said: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        watchdog = threading.Timer(DEADLINE_SECONDS, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if found := re.search(r"Processing \(key=(\w+), value=(.*)\)", line):
                    taken[found[1]] = found[2]
                if "With failover time" in line:
                    break
        finally:
            watchdog.cancel()
            process.kill()
    text = "".join(said)
    assert taken == expected, text
    assert f"Running tills-eu to process stream tills with executable {tmp_path}/child" in text
    assert "position=TRIM_HORIZON" in text
    assert f"With failover time {expected['failoverTimeMillis']} ms" in text
    assert not re.search(r"^\s+at |Exception", text, re.MULTILINE), text
    assert all(line.count("\t") == 3 for line in said), text
