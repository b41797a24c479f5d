"""The worker's rights in OpenSearch are those that docs/operations.md says it needs."""

import re
from pathlib import Path
from typing import Any

from infra.search_rights import INDICES, ROLE, give, role
from sinks.templates import patterns
from tests.infra.conftest import Stacks
from tests.infra.test_runs import containers

OPERATIONS = (Path(__file__).parent.parent.parent / "docs" / "operations.md").read_text()


class Client:
    """What is put where; `transport` is the client's own name for it."""

    def __init__(self) -> None:
        self.transport = self
        self.put: dict[str, Any] = {}

    def perform_request(self, method: str, path: str, body: Any) -> None:
        assert method == "PUT"
        self.put[path] = body


def test_the_rights_are_those_of_the_document() -> None:
    (said,) = re.findall(r"Rights of the worker: (.+?)\. Of who applies", OPERATIONS, re.DOTALL)
    on_indices, on_cluster = said.split("on the cluster")
    made = role()
    assert made["cluster_permissions"] == re.findall(r"`([^`]+)`", on_cluster)
    (indices,) = made["index_permissions"]
    assert indices["allowed_actions"] == re.findall(r"`([^`]+)`", on_indices)


def test_they_are_on_the_indices_of_all_kinds() -> None:
    assert set(INDICES) == set(patterns().values())


def test_role_and_mapping_are_put() -> None:
    client = Client()
    give(client, "arn:aws:iam::123456789012:role/worker")
    base = "/_plugins/_security/api"
    assert client.put == {
        f"{base}/roles/{ROLE}": role(),
        f"{base}/rolesmapping/{ROLE}": {"backend_roles": ["arn:aws:iam::123456789012:role/worker"]},
    }


def test_the_operators_task_does_it_unless_told_otherwise(stacks: Stacks) -> None:
    import infra.search_rights

    container = containers(stacks, "operator")["tillwatch"]
    text = Path(infra.search_rights.__file__).read_text()
    assert container["Command"] == ["python", "-c", text]
    assert "WORKER_ROLE_ARN" in {one["Name"] for one in container["Environment"]}
