"""The live view as it is started for real, and a way to take OpenSearch away from it."""

import http.client
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

_STOP_SECONDS_MAX = 20
COMMAND = str(Path(sys.executable).with_name("tillwatch"))


class Console:
    """A running `tillwatch console`."""

    def __init__(self, address: str, process: subprocess.Popen[str]) -> None:
        self.address = address
        self.process = process

    def ask(
        self, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body of the answer to a GET of `path`, or a POST of `body`."""
        host = self.address.removeprefix("http://").rstrip("/")
        connection = http.client.HTTPConnection(host, timeout=30)
        try:
            method = "GET" if body is None else "POST"
            connection.request(method, f"/{path}", body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


@contextmanager
def console(
    opensearch_url: str, *arguments: str, settings: Mapping[str, str] | None = None
) -> Iterator[Console]:
    """`tillwatch console` for that OpenSearch, ended afterwards by its pid."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("TILLWATCH_")
    }
    with subprocess.Popen(
        [COMMAND, "console", *arguments],
        env=environment | dict(settings or {}) | {"TILLWATCH_OPENSEARCH_URL": opensearch_url},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Console(process.stdout.readline().strip(), process)
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS_MAX)


class Relay:
    """A port of its own that leads to `url`, and can be closed and opened again.

    Closed, it refuses connections and breaks those that are open, as a server that ended does.
    """

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
        self._target = (host, int(port))
        self._port = 0
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            # shutdown first: it wakes the thread that waits in accept
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for end in self._open:
                _shut(end)
            self._open.clear()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            with self._lock:
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while chunk := source.recv(65_536):
                sink.sendall(chunk)
        except OSError:
            pass
        _shut(sink)
        source.close()
        with self._lock:
            self._open.discard(source)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
