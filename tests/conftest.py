"""The real parts that tests share: brought up once, on free loopback ports, ended by their pids."""

from collections.abc import Iterator

import pytest

from local.aws import AwsEndpoint
from local.opensearch import OpenSearchNode
from local.stack import Stack


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsEndpoint]:
    """An AWS endpoint with nothing in it; give what you make in it a name of your own."""
    with AwsEndpoint(tmp_path_factory.mktemp("aws")) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def opensearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchNode]:
    """An OpenSearch node with nothing in it; delete the indices you make, or name them apart."""
    with OpenSearchNode(tmp_path_factory.mktemp("opensearch")) as node:
        yield node


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory, aws: AwsEndpoint, opensearch: OpenSearchNode
) -> Iterator[Stack]:
    """Both servers with stream, tables, bucket, topic, queues and index templates.

    `stack.renew(shards=…)` gives a test fresh ones and removes every index; `stack.environment()`
    is what a worker of it runs with.
    """
    with Stack(tmp_path_factory.mktemp("stack"), aws=aws, node=opensearch) as running:
        yield running
