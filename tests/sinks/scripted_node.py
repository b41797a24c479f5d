"""A server on loopback that stands where OpenSearch stands, and answers bulk requests by script.

Without a script it takes everything. `upstream` makes it a relay to a real node that gets in the
way now and then.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

from sinks import templates

Answer = tuple[int, bytes] | None
"""Status and body; None closes the connection without a word."""

Script = Callable[[list[dict[str, Any]]], Answer]
"""What to answer, given the ids of the actions as they came: each action's `index` object."""


def taken(actions: list[dict[str, Any]]) -> Answer:
    made = [{"index": {"status": 201}} for _ in actions]
    return 200, json.dumps({"errors": False, "items": made}, separators=(",", ":")).encode()


def ours(path: str) -> Answer:
    """What a node says of templates and indices that are as this version declares them."""
    if path.startswith("/_index_template/"):
        every = templates.templates().items()
        made = [{"name": name, "index_template": body} for name, body in every]
        return 200, json.dumps({"index_templates": made}).encode()
    name = path.split("?", maxsplit=1)[0].strip("/")
    return 200, json.dumps({name: {"mappings": templates.declared_for(name)}}).encode()


def items(statuses: list[int], error: dict[str, str] | None = None) -> tuple[int, bytes]:
    """An answer with those statuses; all but 2xx carry `error`."""
    made = [
        {"index": {"status": status} | ({} if status < 300 else {"error": error or {"type": "t"}})}
        for status in statuses
    ]
    return 200, json.dumps({"errors": True, "items": made}).encode()


class ScriptedNode:
    """Answers the next requests by `script`, one entry each, and then as before."""

    def __init__(self, upstream: str | None = None) -> None:
        self.script: Iterable[Script] = []
        self.looks: Callable[[str], Answer] = ours
        self.bodies: list[bytes] = []
        self.at_once_max = 0
        self._at_once = 0
        self._upstream = upstream
        self._lock = threading.Lock()
        self._pool = urllib3.PoolManager()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ids(self) -> list[list[str]]:
        """The ids of each request."""
        return [[action["_id"] for action in actions_of(body)] for body in self.bodies]

    @contextlib.contextmanager
    def running(self) -> Iterator["ScriptedNode"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join(10)
            self._server.server_close()
            self._pool.clear()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                answer = node._answer(self.path, body)
                if answer is None:
                    self.close_connection = True
                    return
                status, data = answer
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                status, data = node._looked_at(self.path) or (503, b"")
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def _looked_at(self, path: str) -> Answer:
        if self._upstream is None:
            return self.looks(path)
        relayed = self._pool.request("GET", self._upstream + path)
        return relayed.status, relayed.data

    def _answer(self, path: str, body: bytes) -> Answer:
        with self._lock:
            self._at_once += 1
            self.at_once_max = max(self.at_once_max, self._at_once)
            self.bodies.append(body)
            self.script = iter(self.script)
            script = next(self.script, None)
        try:
            if script is not None:
                return script(actions_of(body))
            if self._upstream is None:
                return taken(actions_of(body))
            relayed = self._pool.request(
                "POST",
                self._upstream + path,
                body=body,
                headers={"content-type": "application/x-ndjson"},
            )
            return relayed.status, relayed.data
        finally:
            with self._lock:
                self._at_once -= 1


def actions_of(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line)["index"] for line in body.split(b"\n")[:-1:2]]
