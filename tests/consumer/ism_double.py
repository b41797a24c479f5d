"""A cluster with Index State Management: a real node behind a relay that keeps the policies.

It answers as docs.opensearch.org describes the ISM API: policies have a sequence number, without
which they are not changed; an index keeps the policy as it was when it got it; what a server adds
(times, versions, retries of an action) is added.
"""

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3

_API = "/_plugins/_ism/"
Answer = tuple[int, Any]


class IsmDouble:
    """`policies` by id, `indices`: which policy, as it was, an index has; None where none."""

    def __init__(self, upstream: str) -> None:
        self.policies: dict[str, Any] = {}
        self.indices: dict[str, Any] = {}
        self.sent: list[str] = []
        self._sequence = 0
        self._upstream = upstream
        self._pool = urllib3.PoolManager()

    @contextmanager
    def running(self) -> Iterator[str]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(10)
            server.server_close()
            self._pool.clear()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.command != "GET":
                    double.sent.append(f"{self.command} {urlsplit(self.path).path}")
                status, data = double._answer(self.command, self.path, body)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                self._take()

            def do_PUT(self) -> None:
                self._take()

            def do_POST(self) -> None:
                self._take()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(path)
        if not parts.path.startswith(_API):
            relayed = self._pool.request(
                method,
                self._upstream + path,
                body=body or None,
                headers={"content-type": "application/json"},
            )
            return relayed.status, relayed.data
        what, _, name = parts.path.removeprefix(_API).partition("/")
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        said = json.loads(body) if body else {}
        handle = {
            ("GET", "policies"): lambda: self._get(name),
            ("PUT", "policies"): lambda: self._put(name, said, asked),
            ("GET", "explain"): lambda: self._explain(name),
            ("POST", "add"): lambda: self._attach(name, said, over=False),
            ("POST", "change_policy"): lambda: self._attach(name, said, over=True),
        }[method, what]
        status, answer = handle()
        return status, json.dumps(answer).encode()

    def _get(self, name: str) -> Answer:
        if name not in self.policies:
            return 404, {"error": {"type": "status_exception", "reason": "Policy not found"}}
        return 200, self.policies[name]

    def _put(self, name: str, said: Any, asked: dict[str, str]) -> Answer:
        there = self.policies.get(name)
        if (there is None) != ("if_seq_no" not in asked) or (
            there is not None and str(there["_seq_no"]) != asked["if_seq_no"]
        ):
            return 409, {"error": {"type": "version_conflict_engine_exception", "reason": name}}
        self._sequence += 1
        policy = copy.deepcopy(said["policy"])
        policy |= {"policy_id": name, "last_updated_time": self._sequence, "schema_version": 21}
        for state in policy["states"]:
            for action in state["actions"]:
                action["retry"] = {"count": 3, "backoff": "exponential", "delay": "1m"}
        for template in policy["ism_template"]:
            template["last_updated_time"] = self._sequence
        self.policies[name] = {
            "_id": name,
            "_version": 1,
            "_seq_no": self._sequence,
            "_primary_term": 1,
            "policy": policy,
        }
        return 200, self.policies[name]

    def _explain(self, patterns: str) -> Answer:
        every = patterns.split(",")
        made: dict[str, Any] = {}
        for index, policy in self.indices.items():
            if any(fnmatchcase(index, pattern) for pattern in every):
                name = policy and policy["policy_id"]
                made[index] = {"index.plugins.index_state_management.policy_id": name}
                if policy:
                    made[index] |= {"index": index, "policy_id": name, "policy": policy}
        made["total_managed_indices"] = sum(1 for policy in self.indices.values() if policy)
        return 200, made

    def _attach(self, index: str, said: Any, *, over: bool) -> Answer:
        if (self.indices.get(index) is not None) != over:
            return 200, {"updated_indices": 0, "failures": True, "failed_indices": [index]}
        self.indices[index] = self.policies[said["policy_id"]]["policy"]
        return 200, {"updated_indices": 1, "failures": False, "failed_indices": []}
