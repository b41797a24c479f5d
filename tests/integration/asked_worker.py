"""A real worker, asked over HTTP for what it says of itself."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from local.part import Part
from local.stack import Stack
from local.worker import start_worker

DEADLINE_SECONDS = 150.0
SHARDS = 2


class Worker:
    """A real worker, and what it says of itself over HTTP."""

    def __init__(self, stack: Stack, **more: str) -> None:
        settings = {
            "TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "2",
            "TILLWATCH_HEARTBEAT_SECONDS_MAX": "5",
            **{f"TILLWATCH_{name.upper()}": value for name, value in more.items()},
        }
        self._log = stack.folder.path / "worker.log"
        self._before = self._log.stat().st_size if self._log.exists() else 0
        self.part: Part = start_worker(stack, settings)
        self.wait(lambda: self._port() is not None)

    def wait(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not true():
            self.alive()
            assert time.monotonic() < deadline, self.part.log_tail()
            time.sleep(0.1)

    def alive(self) -> None:
        assert self.part.exit_code is None, self.part.log_tail()

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._port()}{path}", timeout=DEADLINE_SECONDS
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def children(self) -> dict[str, int]:
        """Process ids by shard, where the worker is ready with all of them, else nothing."""
        status, body = self.get("/readyz")
        shards: dict[str, Any] = json.loads(body)["shards"]
        ready = status == 200 and len(shards) == SHARDS
        return {name: said["pid"] for name, said in shards.items()} if ready else {}

    def samples(self, name: str) -> dict[str, float]:
        """The samples of a metric by their labels' values, in the order of the labels' names."""
        return {
            ",".join(sample.labels[of] for of in sorted(sample.labels)): sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == name
        }

    def _port(self) -> int | None:
        with self._log.open("rb") as log:
            log.seek(self._before)
            for line in log:
                if b"metrics and health are served" in line:
                    port: int = json.loads(line)["port"]
                    return port
        return None
