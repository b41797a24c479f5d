"""An OpenSearch that answers at once: clients do all of their work, and no network is measured."""

import json
from typing import Any

from sinks.opensearch_client import connect
from sinks.templates import templates

_DONE = (
    '{"index":{"_index":"transactions-2026.01.05","_id":"t-000000000","_version":1,'
    '"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":12345,'
    '"_primary_term":1,"status":201}}'
)
_TEMPLATES = json.dumps(
    {
        "index_templates": [
            {"name": name, "index_template": body} for name, body in templates().items()
        ]
    }
)
_DONE_FILTERED = '{"index":{"status":201}}'


def instant_client() -> Any:
    """A client whose connection takes every bulk body and says that all of it was indexed."""
    client = connect("http://127.0.0.1:9")
    connection = client.transport.get_connection()
    connection.taken_bytes = 0
    answers: dict[tuple[int, bool], str] = {}

    def perform_request(
        method: str, url: str, params: Any = None, body: Any = None, **_: Any
    ) -> tuple[int, dict[str, str], str]:
        if method == "GET" and url.startswith("/_index_template/"):
            return 200, {"content-type": "application/json"}, _TEMPLATES
        if (method, url) != ("POST", "/_bulk"):
            raise ValueError(f"only bulk bodies are answered, not {method} {url}")
        data = body if isinstance(body, bytes) else body.encode()
        connection.taken_bytes += len(data)
        key = (data.count(b"\n") // 2, bool(params and "filter_path" in params))
        if key not in answers:
            item = _DONE_FILTERED if key[1] else _DONE
            answers[key] = f'{{"took":5,"errors":false,"items":[{",".join([item] * key[0])}]}}'
        return 200, {"content-type": "application/json"}, answers[key]

    connection.perform_request = perform_request
    return client


def taken_bytes(client: Any) -> int:
    """The bytes of all bulk bodies so far."""
    taken: int = client.transport.get_connection().taken_bytes
    return taken
