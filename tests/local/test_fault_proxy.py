"""The proxy that makes one service fail: what clients see is what the service itself would say."""

import os
import threading
from collections.abc import Iterator
from typing import get_args

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from local.aws import AwsEndpoint
from local.fault_proxy import Failing, FaultProxy, How, Service
from sinks.aws_errors import passes
from tests.local.listening import listening

pytestmark = pytest.mark.integration

SERVICES: tuple[Service, ...] = get_args(Service)


CALLS = {
    "s3": "list_buckets",
    "sqs": "list_queues",
    "sns": "list_topics",
    "dynamodb": "list_tables",
}
READ_SECONDS = 2.0


class Clients:
    """One client of each service, through the proxy; it tries a call once."""

    def __init__(self, aws: AwsEndpoint, proxy: FaultProxy) -> None:
        config = Config(retries={"total_max_attempts": 1}, read_timeout=READ_SECONDS, proxies={})
        self._made = {name: aws.client_at(name, proxy.url, config) for name in SERVICES}

    def call(self, service: Service) -> int:
        answer = getattr(self._made[service], CALLS[service])()
        status: int = answer["ResponseMetadata"]["HTTPStatusCode"]
        return status


@pytest.fixture(scope="module")
def running(aws: AwsEndpoint) -> Iterator[FaultProxy]:
    with FaultProxy(aws.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def clients(aws: AwsEndpoint, running: FaultProxy) -> Clients:
    return Clients(aws, running)


@pytest.fixture
def proxy(running: FaultProxy) -> Iterator[FaultProxy]:
    yield running
    running.lift()


@pytest.mark.parametrize("how", ["throttle", "error", "unavailable", "close"])
@pytest.mark.parametrize("service", SERVICES)
def test_one_service_fails_in_a_way_that_passes_and_the_others_answer(
    proxy: FaultProxy, clients: Clients, service: Service, how: How
) -> None:
    before = proxy.refused()
    proxy.fail(Failing(service, how))
    with pytest.raises((ClientError, HTTPClientError)) as caught:
        clients.call(service)
    assert passes(caught.value)
    if isinstance(caught.value, ClientError):
        assert caught.value.response["Error"]["Code"] not in {"", "Unknown", "400", "403", "503"}
    for other in SERVICES:
        if other != service:
            assert clients.call(other) == 200
    assert proxy.refused() - before == {(service, "child"): 1}
    proxy.lift()
    assert clients.call(service) == 200


def test_one_that_hangs_gives_no_answer_and_is_let_go_of_when_the_fault_is_lifted(
    proxy: FaultProxy, clients: Clients
) -> None:
    before = proxy.refused()
    seen: list[BaseException] = []

    def ask() -> None:
        try:
            clients.call("sqs")
        except HTTPClientError as error:
            seen.append(error)

    def hang() -> threading.Thread:
        asking = threading.Thread(target=ask)
        asking.start()
        while not (proxy.refused() - before)["sqs", "child"]:
            assert asking.is_alive()
        return asking

    proxy.fail(Failing("sqs", "hang"))
    hang().join()
    assert "Read timeout" in str(seen[0]), "the client gave up first"
    before = proxy.refused()
    asking = hang()
    proxy.lift()
    asking.join(READ_SECONDS)
    assert "closed" in str(seen[1])
    assert all(passes(error) for error in seen)


def test_a_fault_for_the_daemon_leaves_its_children_alone(
    proxy: FaultProxy, clients: Clients
) -> None:
    before = proxy.refused()
    proxy.fail(Failing("dynamodb", "error", "daemon"))
    assert clients.call("dynamodb") == 200
    assert proxy.refused() == before


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
