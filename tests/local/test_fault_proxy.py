"""The proxy that makes one service fail: what clients see is what the service itself would say."""

import os
import threading
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from local.aws import AwsEndpoint
from local.fault_proxy import Failing, FaultProxy, How, Service
from sinks.aws_errors import passes
from tests.local.listening import listening

pytestmark = pytest.mark.integration

SERVICES: tuple[Service, ...] = get_args(Service)


@pytest.fixture
def proxy(aws: AwsEndpoint) -> Iterator[FaultProxy]:
    with FaultProxy(aws.url) as running:
        yield running


def call(aws: AwsEndpoint, proxy: FaultProxy, service: Service, seconds_max: float = 10) -> Any:
    client = aws.client_at(
        service,
        proxy.url,
        Config(retries={"total_max_attempts": 1}, read_timeout=seconds_max, proxies={}),
    )
    try:
        match service:
            case "s3":
                return client.list_buckets()
            case "sqs":
                return client.list_queues()
            case "sns":
                return client.list_topics()
            case _:
                return client.list_tables()
    finally:
        client.close()


@pytest.mark.parametrize("how", ["throttle", "error", "unavailable", "close"])
@pytest.mark.parametrize("service", SERVICES)
def test_one_service_fails_in_a_way_that_passes_and_the_others_answer(
    aws: AwsEndpoint, proxy: FaultProxy, service: Service, how: How
) -> None:
    proxy.fail(Failing(service, how))
    with pytest.raises((ClientError, HTTPClientError)) as caught:
        call(aws, proxy, service)
    assert passes(caught.value)
    if isinstance(caught.value, ClientError):
        assert caught.value.response["Error"]["Code"] not in {"", "Unknown", "400", "403", "503"}
    for other in SERVICES:
        if other != service:
            assert call(aws, proxy, other)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert proxy.refused() == {(service, "child"): 1}
    proxy.lift()
    assert call(aws, proxy, service)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_one_that_hangs_is_let_go_of_when_the_fault_is_lifted(
    aws: AwsEndpoint, proxy: FaultProxy
) -> None:
    proxy.fail(Failing("sqs", "hang"))
    with pytest.raises(HTTPClientError) as caught:
        call(aws, proxy, "sqs", seconds_max=0.3)
    assert "Read timeout" in str(caught.value)
    seen: list[BaseException] = []

    def ask() -> None:
        try:
            call(aws, proxy, "sqs")
        except HTTPClientError as error:
            seen.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while proxy.refused()["sqs", "child"] < 2:
        assert asking.is_alive()
    proxy.lift()
    asking.join(10)
    assert len(seen) == 1
    assert passes(seen[0])


def test_a_fault_for_the_daemon_leaves_its_children_alone(
    aws: AwsEndpoint, proxy: FaultProxy
) -> None:
    proxy.fail(Failing("dynamodb", "error", "daemon"))
    assert call(aws, proxy, "dynamodb")["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert not proxy.refused()


def test_what_goes_through_goes_through_whole(aws: AwsEndpoint, proxy: FaultProxy) -> None:
    s3 = aws.client_at("s3", proxy.url, Config(s3={"addressing_style": "path"}, proxies={}))
    s3.create_bucket(
        Bucket="fault-proxy", CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    body = os.urandom(5_000_000)
    s3.put_object(Bucket="fault-proxy", Key="a b/ü+%.bin", Body=body)
    assert s3.get_object(Bucket="fault-proxy", Key="a b/ü+%.bin")["Body"].read() == body
    head = s3.head_object(Bucket="fault-proxy", Key="a b/ü+%.bin")
    assert head["ContentLength"] == len(body)
    listed = s3.list_objects_v2(Bucket="fault-proxy")["Contents"]
    assert [entry["Key"] for entry in listed] == ["a b/ü+%.bin"]
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="fault-proxy", Key="none")
    s3.delete_object(Bucket="fault-proxy", Key="a b/ü+%.bin")
    assert "Contents" not in s3.list_objects_v2(Bucket="fault-proxy")


def test_it_listens_on_loopback_alone(proxy: FaultProxy) -> None:
    assert proxy.url.startswith("http://127.0.0.1:")
    assert listening(os.getpid()) <= {"127.0.0.1"}
