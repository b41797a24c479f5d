"""Stands where OpenSearch Dashboards stands: its saved-objects API as documented, over HTTP.

Dashboards itself cannot be had from a package registry. This holds requests to what its import
asks: the header against forged requests, a form with one file whose name ends in .ndjson, types it
knows, ids that are unique, references that lead somewhere, no overwriting unless asked.
"""

import contextlib
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
TYPES = {"index-pattern", "search", "visualization", "dashboard"}
PREFIX = "/_dashboards"


class DashboardsDouble:
    """`answer` is given instead of everything else, as status and body, where it is set."""

    def __init__(self, user: str | None = None, password: str | None = None) -> None:
        self.saved: dict[tuple[str, str], Json] = {}
        self.types = set(TYPES)
        self.imports = 0
        self.tenants: list[str | None] = []
        self.authorizations: list[str | None] = []
        self.answer: tuple[int, bytes] | None = None
        self._basic = None
        if user is not None:
            self._basic = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{PREFIX}"

    @contextlib.contextmanager
    def running(self) -> Iterator["DashboardsDouble"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join(10)
            self._server.server_close()

    def respond(self, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        self.authorizations.append(headers["authorization"])
        if self._basic is not None and headers["authorization"] != self._basic:
            return 401, {"statusCode": 401, "error": "Unauthorized", "message": "Unauthorized"}
        if self.answer is not None:
            return self.answer
        if headers["osd-xsrf"] is None:
            return 400, {"statusCode": 400, "message": "Request must contain a osd-xsrf header."}
        self.tenants.append(headers["securitytenant"])
        place = urlsplit(path)
        match place.path.removeprefix(f"{PREFIX}/api/saved_objects/"):
            case "_bulk_get":
                return 200, {"saved_objects": [self._found(one) for one in json.loads(body)]}
            case "_import":
                overwrite = parse_qs(place.query).get("overwrite") == ["true"]
                return self._import(headers["content-type"], body, overwrite=overwrite)
        return 404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"}

    def _found(self, asked: Json) -> Json:
        missing = {"error": {"statusCode": 404, "error": "Not Found"}}
        return asked | self.saved.get((asked["type"], asked["id"]), missing)

    def _import(self, kind: str, body: bytes, *, overwrite: bool) -> tuple[int, Json]:
        form = message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + body)
        assert form.is_multipart()
        (part,) = form.get_payload()
        assert part.get_param("name", header="content-disposition") == "file"
        if not part.get_filename("").endswith(".ndjson"):
            return 400, {"message": "Invalid file extension"}
        lines = [json.loads(line) for line in part.get_payload(decode=True).splitlines() if line]
        objects = [line for line in lines if "exportedCount" not in line]
        keys = [(found["type"], found["id"]) for found in objects]
        if len(set(keys)) != len(keys):
            return 400, {"statusCode": 400, "message": "Non-unique import objects detected"}
        self.imports += 1
        errors = [error for found in objects if (error := self._wrong(found, keys, overwrite))]
        refused = {(error["type"], error["id"]) for error in errors}
        for found in objects:
            if (found["type"], found["id"]) not in refused:
                kept = json.loads(json.dumps(found))
                self.saved[found["type"], found["id"]] = {
                    **kept,
                    "version": "WzEsMV0=",
                    "namespaces": ["default"],
                }
        answer = {"success": not errors, "successCount": len(objects) - len(refused)}
        return 200, answer | ({"errors": errors} if errors else {})

    def _wrong(self, found: Json, keys: list[tuple[str, str]], overwrite: bool) -> Json | None:  # noqa: FBT001
        of = {"id": found["id"], "type": found["type"], "title": found["attributes"]["title"]}
        missing = [
            {"type": ref["type"], "id": ref["id"]}
            for ref in found["references"]
            if (ref["type"], ref["id"]) not in {*keys, *self.saved}
        ]
        if found["type"] not in self.types:
            return of | {"error": {"type": "unsupported_type"}}
        if missing:
            return of | {"error": {"type": "missing_references", "references": missing}}
        if (found["type"], found["id"]) in self.saved and not overwrite:
            return of | {"error": {"type": "conflict"}}
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, answer = double.respond(self.path, self.headers, body)
                encoded = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                kind = "text/html" if isinstance(answer, bytes) else "application/json"
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
