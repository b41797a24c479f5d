"""An AWS endpoint that fails on demand: a proxy before the real one, one service at a time."""

import http.client
import socket
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import msgspec

from local import refusals

Service = Literal["s3", "sqs", "sns", "dynamodb"]
How = Literal["throttle", "error", "unavailable", "close", "hang"]
Client = Literal["child", "daemon"]

CONNECTIONS_MAX = 256
"""Connections at a time; further ones wait to be taken."""
BODY_BYTES_MAX = 64 * 2**20
UPSTREAM_SECONDS_MAX = 60.0
HANG_SECONDS_MAX = 900.0
"""A hung request is let go of after so long, should nobody lift the fault."""

_AGENTS: tuple[tuple[str, Client], ...] = (("aws-sdk-java", "daemon"), ("Botocore/", "child"))
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "expect", "host"}
)
_REFUSING = frozenset({"throttle", "error", "unavailable"})
_LINE_BYTES_MAX = 65_536


class Failing(msgspec.Struct, frozen=True):
    """What fails: requests of `client` (None: of anybody) to `service`, and how.

    `throttle` is the service's own word for too many requests, `error` its 500, `unavailable` a
    503; `close` ends the connection without an answer; `hang` gives none until the fault is lifted.
    None of them has an effect on the service.
    """

    service: Service
    how: How
    client: Client | None = None


class FaultProxy:
    """Stands before the endpoint `upstream` on loopback, at `url`, while the context lasts.

    It speaks HTTP/1.1, so it does for every service but Kinesis, whose Java client insists on
    HTTP/2. `fail` and `lift` may be called at any time; `refused` counts what was not let through,
    by service and client.
    """

    def __init__(self, upstream: str) -> None:
        self._server = _Server(upstream)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, failing: Failing) -> None:
        """From now on this fails, and nothing else; said again, it changes nothing."""
        self._server.change(failing)

    def lift(self) -> None:
        """From now on nothing fails; what hangs is let go of, without an answer."""
        self._server.change(None)

    def refused(self) -> Counter[tuple[str, str]]:
        """How many requests were not let through so far, by service and client."""
        return self._server.refused()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lift()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self._lock = threading.Lock()
        self._failing: Failing | None = None
        self._lifted = threading.Event()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._room = threading.Semaphore(CONNECTIONS_MAX)
        super().__init__(("127.0.0.1", 0), _Handler)

    def change(self, failing: Failing | None) -> None:
        with self._lock:
            if failing == self._failing:
                return
            self._failing = failing
            self._lifted.set()  # what hung under the fault before is let go of
            self._lifted = threading.Event()

    def refused(self) -> Counter[tuple[str, str]]:
        with self._lock:
            return Counter(self._refused)

    def judge(self, service: str | None, client: str) -> tuple[How, threading.Event] | None:
        """How this request fails, and what ends its hanging; None where it goes through."""
        with self._lock:
            failing = self._failing
            if failing is None or failing.service != service:
                return None
            if failing.client not in (None, client):
                return None
            self._refused[service, client] += 1
            return failing.how, self._lifted

    def process_request(self, request: Any, client_address: Any) -> None:
        self._room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none of ours."""


class _Handler(BaseHTTPRequestHandler):
    """One connection; requests on it come one after the other."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._upstream: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        with suppress(OSError):
            super().finish()

    def _handle(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            return
        service = service_of(self.headers)
        verdict = self.server.judge(service, client_of(self.headers))
        if verdict is None or service is None:
            self._forward(body)
            return
        how, lifted = verdict
        if how in _REFUSING:
            self._answer(*refusals.refusal(service, how, self.headers))
            return
        if how == "hang":
            lifted.wait(HANG_SECONDS_MAX)
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 -- http.server's names

    def _body(self) -> bytes | None:
        """The whole body; None where it is too large or broken off."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        size = int(self.headers.get("Content-Length") or 0)
        if size > BODY_BYTES_MAX:
            return None
        body = self.rfile.read(size)
        return body if len(body) == size else None

    def _chunks(self) -> bytes | None:
        body = bytearray()
        while True:
            line = self.rfile.readline(_LINE_BYTES_MAX)
            size = int(line.partition(b";")[0] or b"0", 16)
            if len(body) + size > BODY_BYTES_MAX:
                return None
            if size == 0:
                while self.rfile.readline(_LINE_BYTES_MAX).strip():
                    pass
                return bytes(body)
            body += self.rfile.read(size)
            self.rfile.readline(_LINE_BYTES_MAX)

    def _forward(self, body: bytes) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        headers["Content-Length"] = str(len(body))
        try:
            if self._upstream is None:
                host, port = self.server.upstream.hostname or "", self.server.upstream.port
                self._upstream = http.client.HTTPConnection(host, port, UPSTREAM_SECONDS_MAX)
            self._upstream.request(self.command, self.path, body, headers)
            answer = self._upstream.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            # The real endpoint's trouble is passed on as it would show without us.
            self._upstream = None
            self.close_connection = True
            return
        self._answer(answer.status, answer.getheaders(), content)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        kept = [(k, v) for k, v in headers if k.lower() not in _HOP_BY_HOP]
        for name, value in kept:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: who asks for a fault knows of it."""


def service_of(headers: Any) -> str | None:
    """The service that a request is for, by its signature's scope or its target."""
    target: str = headers.get("X-Amz-Target") or ""
    if target.startswith("DynamoDB"):
        return "dynamodb"
    if target.startswith("AmazonSQS"):
        return "sqs"
    _, credential, rest = (headers.get("Authorization") or "").partition("Credential=")
    scope = rest.partition(",")[0].split("/")
    # <key>/<day>/<region>/<service>/aws4_request, and a key may hold slashes.
    return scope[-2] if credential and len(scope) >= 5 else None  # noqa: PLR2004 -- as above


def client_of(headers: Any) -> str:
    """Who asks: the worker's daemon, one of its children, or somebody else."""
    agent: str = headers.get("User-Agent") or ""
    return next((client for name, client in _AGENTS if name in agent), "other")
