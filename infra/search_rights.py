"""Run by the operator's task, in the worker's image: the worker's rights in the OpenSearch domain.

Puts a role with what docs/operations.md, "OpenSearch", says a worker needs, and maps the worker's
IAM role to it. Twice is as once. This file is handed to the container as it is.
"""

import os
from typing import Any

from consumer.opensearch_settings import OpenSearchSettings
from consumer.search_client import search_client

ROLE = "tillwatch-worker"
INDICES = (
    "transactions-*",
    "pages-*",
    "verdicts",
    "suppressions",
    "rejections-*",
    "operations",
    "operations-*",
)


def role() -> dict[str, Any]:
    """What the security plugin keeps of the worker's role."""
    return {
        "cluster_permissions": ["indices:data/write/bulk", "indices:admin/index_template/get"],
        "index_permissions": [
            {
                "index_patterns": [*INDICES],
                "allowed_actions": [
                    "indices:data/write/*",
                    "indices:admin/create",
                    "indices:admin/get",
                ],
            }
        ],
    }


def give(client: Any, worker_arn: str) -> None:
    """Put role and mapping.

    Raises:
        opensearchpy.exceptions.OpenSearchException: the domain refuses.
    """
    security = "/_plugins/_security/api"
    client.transport.perform_request("PUT", f"{security}/roles/{ROLE}", body=role())
    client.transport.perform_request(
        "PUT", f"{security}/rolesmapping/{ROLE}", body={"backend_roles": [worker_arn]}
    )


def main() -> None:
    """With the settings of the environment."""
    client = search_client(OpenSearchSettings())
    try:
        give(client, os.environ["WORKER_ROLE_ARN"])
    finally:
        client.close()


if __name__ == "__main__":
    main()
