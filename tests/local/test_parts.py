"""The two servers of the embedded stack: they come up, keep to loopback and go."""

from pathlib import Path

import pytest

from local.aws import AwsEndpoint
from local.opensearch import OpenSearchNode
from sinks.opensearch_client import connect
from tests.local.listening import listening

pytestmark = pytest.mark.integration


def test_aws_endpoint_keeps_what_it_is_given(aws: AwsEndpoint) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="parts", CreateBucketConfiguration={"LocationConstraint": aws.region})
    s3.put_object(Bucket="parts", Key="a/b", Body=b"c")
    assert s3.get_object(Bucket="parts", Key="a/b")["Body"].read() == b"c"


def test_aws_endpoint_listens_on_loopback_alone(aws: AwsEndpoint) -> None:
    aws.client("iot").list_things()  # brings in the module with the second listener
    assert listening(aws.pid) == {"127.0.0.1"}


def test_aws_endpoint_writes_into_its_folder_and_starts_empty(tmp_path: Path) -> None:
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "stale").write_text("of a killed run")
    with AwsEndpoint(tmp_path / "aws") as endpoint:
        pid = endpoint.pid
        assert endpoint.client("s3").list_buckets()["Buckets"] == []
        assert not (tmp_path / "aws" / "stale").exists()
    assert not Path("/proc", str(pid)).exists()


def test_opensearch_node_listens_on_loopback_alone(opensearch: OpenSearchNode) -> None:
    assert listening(opensearch.pid) == {"127.0.0.1"}


def test_opensearch_node_has_what_it_had_after_a_power_cut(tmp_path: Path) -> None:
    with OpenSearchNode(tmp_path / "opensearch", keeps_its_port=True) as node:
        url = node.url
        client = connect(url)
        client.index(index="kept", id="1", body={"a": 1})
        node.kill()
        node.resume()
        assert node.url == url
        assert client.get(index="kept", id="1")["_source"] == {"a": 1}
        client.close()
