"""The only module that imports opensearch-py: how a client is made, and how it is asked."""

from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError

import events
from sinks.opensearch_trouble import answered, said_by, unanswered
from sinks.retry import Transient


class _NoEvents:
    """Stands where opensearch-py looks for `events.Events`, and refuses to be used.

    opensearch-py imports that name for a metrics hook that is off by default; the package it comes
    from would take the place of ours (docs/decisions/0004-events-name.md).
    """

    def __init__(self) -> None:
        raise RuntimeError("opensearch-py's metrics hook needs the package `events`")


# opensearch-py says `from events import Events`, and finds our package, which has no such name.
setattr(events, "Events", _NoEvents)  # noqa: B010 -- mypy is right that no such name is declared

from opensearchpy import (  # noqa: E402 -- needs the name above
    ConnectionError as OpenSearchConnectionError,
)
from opensearchpy import (  # noqa: E402 -- likewise
    OpenSearch,
    TransportError,
    Urllib3AWSV4SignerAuth,
    Urllib3HttpConnection,
)

REQUEST_SECONDS_MAX = 60.0
"""How long one request may take; creating the indices of a replayed year takes long."""

CONNECTIONS_MAX = 4

SERVER_SECONDS_MAX = 50
"""How long OpenSearch itself waits for a shard or an index: less than the request may take, so that
its own words come, and not a time-out."""

_BULK = {
    "filter_path": "errors,items.*.status,items.*.error.type,items.*.error.reason",
    "timeout": f"{SERVER_SECONDS_MAX}s",
}
_HEADERS = {"content-type": "application/x-ndjson"}
_REFUSED_WHOLE = frozenset({400, 413})
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class Signing(msgspec.Struct, frozen=True):
    """AWS signature version 4 instead of user and password.

    `service` is `es` for a domain of Amazon OpenSearch Service, `aoss` for a serverless collection.
    """

    service: str
    region: str


class NoCredentials(BotoCoreError):  # type: ignore[misc]  # noqa: N818 -- untyped library; a state of this machine, not a fault of ours
    """Requests are to be signed, and AWS credentials are found nowhere."""

    fmt = (
        "requests to OpenSearch are to be signed (TILLWATCH_OPENSEARCH_SIGNING), and there are no "
        "AWS credentials: give this process a role, or AWS_ACCESS_KEY_ID and its secret"
    )


class Refusal(Exception):  # noqa: N818 -- the request was refused, nothing broke
    """OpenSearch answered a single request with a status that trying again does not change."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"OpenSearch answered {status}: {said}")
        self.status = status
        self.said = said


class BodyRefused(Exception):  # noqa: N818 -- the request was refused, nothing broke
    """OpenSearch refused a bulk body as a whole (400, 413): smaller ones tell which item it is."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"{status}: {error}")
        self.status = status
        self.error = error


class _QuietConnection(Urllib3HttpConnection):  # type: ignore[misc]  # untyped library
    """Logs nothing: the library would log bodies, which are the customers' business."""

    def log_request_success(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def log_request_fail(self, *_args: Any, **_kwargs: Any) -> None:
        pass


def connect(
    url: str,
    user: str | None = None,
    password: str | None = None,
    *,
    signing: Signing | None = None,
    ca_bundle: Path | None = None,
    http_compress: bool = False,
    connections_max: int = CONNECTIONS_MAX,
    request_seconds_max: float = REQUEST_SECONDS_MAX,
) -> Any:
    """An opensearch-py client for `url`; nothing is sent yet.

    It tries nothing twice: sinks/retry.py does. Certificates are verified against the authorities
    in `ca_bundle`, else those of SSL_CERT_FILE or SSL_CERT_DIR, else of certifi. With `signing`
    each request is signed with the credentials that every AWS program would take, as they are then.
    Compression is for a cluster across a network, not for this machine.

    Raises:
        NoCredentials: `signing` is wanted, and there is nothing to sign with.
    """
    basic = (user, password) if user is not None and password is not None else None
    return OpenSearch(
        hosts=[url],
        http_auth=_signer(signing) if signing is not None else basic,
        connection_class=_QuietConnection,
        use_ssl=url.startswith("https:"),
        verify_certs=True,
        ca_certs=None if ca_bundle is None else str(ca_bundle),
        http_compress=http_compress,
        maxsize=connections_max,
        pool_maxsize=connections_max,
        timeout=request_seconds_max,
        max_retries=0,
        retry_on_status=(),
        retry_on_timeout=False,
    )


def _signer(signing: Signing) -> Any:
    import boto3

    credentials = boto3.Session().get_credentials()
    if credentials is None:
        raise NoCredentials
    return Urllib3AWSV4SignerAuth(credentials, signing.region, signing.service)


def ask(
    client: Any, method: str, path: str, body: Any = None, params: dict[str, str] | None = None
) -> Any:
    """One request that is no bulk body, and its answer's JSON.

    Raises:
        Transient: no answer, 429, 5xx.
        Refusal: any other status that is none of success.
    """
    try:
        return client.transport.perform_request(method, path, params=params, body=body)
    except OpenSearchConnectionError as error:
        raise Transient(unanswered(error)) from error
    except TransportError as error:
        status = error.status_code
        if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR:
            raise Transient(answered(error)) from error
        raise Refusal(status, said_by(error)) from error


def bulk(client: Any, data: bytes) -> bytes:
    """Send one bulk body; the answer's bytes, with no more in it than `bulk.judge` reads.

    Raises:
        Transient: no answer, 429, 5xx, or a status that a person has to mend in the cluster.
        BodyRefused: 400 or 413.
    """
    connection = client.transport.get_connection()
    try:
        _, _, answer = connection.perform_request(
            "POST", "/_bulk", params=_BULK, body=data, headers=_HEADERS
        )
    except OpenSearchConnectionError as error:
        raise Transient(unanswered(error)) from error
    except TransportError as error:
        status = error.status_code
        if status in _REFUSED_WHOLE:
            raise BodyRefused(status, said_by(error)) from error
        raise Transient(answered(error)) from error
    encoded: bytes = answer.encode()
    return encoded
