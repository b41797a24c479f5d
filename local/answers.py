"""What a running worker says of itself: its metrics and its health over HTTP, and its log."""

import json
from collections.abc import Iterator
from typing import Any

from local.loopback import ask
from local.part import Part

_ANSWER_SECONDS_MAX = 5.0
_SERVED = "metrics and health are served"


class Answers:
    """Asks the worker `part`, which was just started: what its log held before is not its own."""

    def __init__(self, part: Part, log_from: int = 0) -> None:
        self._part = part
        self._log_from = log_from
        self._port: int | None = None

    def samples(self, name: str) -> dict[str, float]:
        """The metric's samples by their labels' values, in the order of the labels' names.

        Empty where the worker does not answer yet.
        """
        from prometheus_client.parser import text_string_to_metric_families

        port = self._found_port()
        text = port and ask(f"http://127.0.0.1:{port}/metrics", _ANSWER_SECONDS_MAX)
        return {
            ",".join(sample.labels[of] for of in sorted(sample.labels)): sample.value
            for family in text_string_to_metric_families((text or b"").decode())
            for sample in family.samples
            if sample.name == name
        }

    def log_end(self) -> int:
        """Where the log ends now, for `lines`."""
        return self._part.log.stat().st_size

    def lines(self, begin: int) -> Iterator[dict[str, Any]]:
        """The log's lines from there on."""
        with self._part.log.open("rb") as log:
            log.seek(begin)
            for line in log:
                if line.startswith(b"{") and line.endswith(b"}\n"):
                    yield json.loads(line)

    def _found_port(self) -> int | None:
        if self._port is None:
            for line in self.lines(self._log_from):
                if line["message"] == _SERVED:
                    self._port = line["port"]
        return self._port
