"""The only module that imports opensearch-py: how a client is made, and how a bulk body is sent."""

from typing import Any

import events
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
    Urllib3HttpConnection,
)

REQUEST_SECONDS_MAX = 60.0
"""How long one request may take; creating the indices of a replayed year takes long."""

CONNECTIONS_MAX = 4

_BULK = {"filter_path": "errors,items.*.status,items.*.error.type,items.*.error.reason"}
_HEADERS = {"content-type": "application/x-ndjson"}
_REFUSED_WHOLE = frozenset({400, 413})


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
    http_compress: bool = False,
    connections_max: int = CONNECTIONS_MAX,
    request_seconds_max: float = REQUEST_SECONDS_MAX,
) -> Any:
    """An opensearch-py client for `url`; nothing is sent yet.

    It tries nothing twice: sinks/retry.py does. Certificates are verified against the authorities
    of certifi, or those of SSL_CERT_FILE or SSL_CERT_DIR. Compression is for a cluster across a
    network, not for this machine.
    """
    return OpenSearch(
        hosts=[url],
        http_auth=(user, password) if user is not None and password is not None else None,
        connection_class=_QuietConnection,
        use_ssl=url.startswith("https:"),
        verify_certs=True,
        http_compress=http_compress,
        maxsize=connections_max,
        pool_maxsize=connections_max,
        timeout=request_seconds_max,
        max_retries=0,
        retry_on_status=(),
        retry_on_timeout=False,
    )


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
        raise Transient(f"no answer from OpenSearch: {type(error).__name__}") from error
    except TransportError as error:
        status = error.status_code
        if status in _REFUSED_WHOLE:
            raise BodyRefused(status, str(error.error)) from error
        raise Transient(f"OpenSearch answered {status}: {error.error}") from error
    encoded: bytes = answer.encode()
    return encoded
