"""Serves /healthz, /readyz and /metrics over HTTP, to who watches the worker."""

import json
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any, Self

from consumer.children import Children
from consumer.metrics import CONTENT_TYPE, Metrics
from consumer.vitals import Vitals

_log = logging.getLogger("tillwatch.health")
REQUESTS_MAX = 4
"""Requests that are answered at a time."""
REQUESTS_WAITING_MAX = 16
"""Connections that the system keeps while all of them are busy."""
REQUEST_SECONDS_MAX = 5.0
"""How long who asks may take to ask, and to read."""


class HealthError(Exception):
    """The address cannot be served on; the message says why."""


class Health:
    """The HTTP server beside the supervisor. It only reads: nothing can be changed through it."""

    def __init__(
        self, host: str, port: int, children: Children, vitals: Vitals, metrics: Metrics
    ) -> None:
        """Bind to `host` and `port` (0: a free one).

        Raises:
            HealthError: it is taken, or no address of this machine.
        """
        self._answers: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/healthz": lambda: _judged(*vitals.lives()),
            "/readyz": lambda: _judged(*vitals.ready(children)),
            "/metrics": lambda: (200, CONTENT_TYPE, metrics.text()),
        }
        try:
            self._server = _Server((host, port), self._answers)
        except (OSError, UnicodeError) as error:
            raise HealthError(
                f"metrics and health cannot be served on {host}:{port} ({error}); correct "
                "TILLWATCH_METRICS_HOST or TILLWATCH_METRICS_PORT"
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="health"
        )

    def __enter__(self) -> Self:
        self._thread.daemon = True
        self._thread.start()
        _log.info(
            "metrics and health are served",
            extra={"host": self._server.server_address[0], "port": self.port},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _judged(good: bool, body: dict[str, Any]) -> tuple[int, str, bytes]:  # noqa: FBT001 -- a verdict
    return 200 if good else 503, "application/json", json.dumps(body).encode() + b"\n"


class _Server(HTTPServer):
    """Answers each request in one of few threads, so that a slow reader holds up no probe."""

    request_queue_size = REQUESTS_WAITING_MAX

    def __init__(
        self,
        address: tuple[str, int],
        answers: dict[str, Callable[[], tuple[int, str, bytes]]],
    ) -> None:
        self.answers = answers
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self._free = threading.BoundedSemaphore(REQUESTS_MAX)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of the host's name, which may wait for a name server."""
        super(HTTPServer, self).server_bind()
        self.server_name = str(self.server_address[0])
        self.server_port = self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand the connection to a thread; one that finds all of them busy for long is closed."""
        if self._free.acquire(timeout=REQUEST_SECONDS_MAX):
            # No thread that the end waits for: who asks may be slow.
            threading.Thread(
                target=self._process, args=(request, client_address), name="health", daemon=True
            ).start()
        else:
            self.shutdown_request(request)

    def _process(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:  # who asked went away
            pass
        except Exception:  # noqa: BLE001 -- logged; the next request may fare better
            _log.exception("a request for metrics or health could not be answered")
        finally:
            self.shutdown_request(request)
            self._free.release()


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_SECONDS_MAX
    server: _Server

    def do_GET(self) -> None:
        answer = self.server.answers.get(self.path.partition("?")[0])
        status, kind, body = answer() if answer else (404, "text/plain", b"there is no such page\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "tillwatch"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's signature
        """Probes come every few seconds: they are not logged."""
