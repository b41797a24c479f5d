"""Saved objects into a running Dashboards, by its import; and what an import would change.

What is sent and how it is judged is pure; `Dashboards` calls. It tries nothing twice: a person
stands by, and an import that is repeated does no harm.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from sinks.dashboards.saved_object import Json, SavedObject, ndjson
from sinks.opensearch_client import (  # type: ignore[attr-defined] # of the wrapper
    OpenSearchConnectionError,
    TransportError,
)

ERRORS_SHOWN_MAX = 20
_BOUNDARY = "tillwatch-saved-objects"
_TENANT = "security_tenant"
_SAID_MAX = 300


class DashboardsError(Exception):
    """Dashboards cannot be reached, or refuses; the message may be shown to anyone."""


class Change(msgspec.Struct, frozen=True):
    """One object that an import would add, or change."""

    sign: Literal["+", "~"]
    type: str
    id: str
    title: str

    def line(self) -> str:
        """It for a person."""
        return f"{self.sign} {self.type} {self.id}: {self.title}"


def client_url(base_url: str) -> str:
    """Where requests go: the address without the tenant, which goes in a header."""
    place = urlsplit(base_url)
    return f"{place.scheme}://{place.netloc}{place.path.rstrip('/')}"


class Dashboards:
    """OpenSearch Dashboards at `base_url`, an address as in link.py.

    `client` is what sinks.opensearch_client.connect gave for `client_url(base_url)`: it brings the
    password or signature, and verifies certificates, as for OpenSearch itself.
    """

    def __init__(self, client: Any, base_url: str) -> None:
        self._client = client
        self._place = client_url(base_url)
        self._headers = {"osd-xsrf": "true"}
        tenants = parse_qs(urlsplit(base_url).query).get(_TENANT)
        if tenants:
            self._headers["securitytenant"] = tenants[0]

    def changes(self, objects: Sequence[SavedObject]) -> list[Change]:
        """What an import of `objects` would add or change.

        Raises:
            DashboardsError: it cannot be asked.
        """
        asked = json.dumps([{"type": found.type, "id": found.id} for found in objects]).encode()
        answer = self._call("_bulk_get", asked, "application/json", {})
        there = {
            (found.get("type"), found.get("id")): found
            for found in answer.get("saved_objects", [])
            if "error" not in found
        }
        return [
            Change("~" if found else "+", wanted.type, wanted.id, wanted.title)
            for wanted in objects
            if (found := there.get((wanted.type, wanted.id))) is None or not _same(wanted, found)
        ]

    def import_(self, objects: Iterable[SavedObject]) -> int:
        """Import all of `objects`, over what is there under their ids; how many it took.

        Raises:
            DashboardsError: it cannot be reached, or refuses some of them; each with the reason.
        """
        body = multipart(ndjson(objects))
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        answer = self._call("_import", body, kind, {"overwrite": "true"})
        if answer.get("success") is not True:
            raise DashboardsError(refusal(answer))
        return int(answer.get("successCount", 0))

    def _call(self, what: str, body: bytes, kind: str, params: dict[str, str]) -> Json:
        connection = self._client.transport.get_connection()
        try:
            _, _, said = connection.perform_request(
                "POST",
                f"/api/saved_objects/{what}",
                params=params,
                body=body,
                headers=self._headers | {"content-type": kind},
            )
        except OpenSearchConnectionError as error:
            cause = error.info if isinstance(error.info, Exception) else error
            raise DashboardsError(
                f"OpenSearch Dashboards at {self._place} does not answer ({type(cause).__name__})"
            ) from error
        except TransportError as error:
            raise DashboardsError(self._refused(error)) from error
        try:
            answer = json.loads(said)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise DashboardsError(
                f"what answers at {self._place} is not OpenSearch Dashboards: no JSON came back"
            )
        return answer

    def _refused(self, error: TransportError) -> str:
        status = error.status_code
        where = f"OpenSearch Dashboards at {self._place}"
        if status in {301, 302, 303, 307, 308, 401}:
            return f"{where} asks for another log-in ({status}): user and password are OpenSearch's"
        if status == 403:  # noqa: PLR2004 -- HTTP's own
            return f"{where} does not let this user write saved objects (403)"
        if status == 404:  # noqa: PLR2004 -- likewise
            return (
                f"there is no OpenSearch Dashboards at {self._place} (404): is its path missing, "
                "such as /_dashboards?"
            )
        said = error.info.get("message") if isinstance(error.info, dict) else error.error
        return f"{where} answered {status}: {str(said)[:_SAID_MAX]}"


def multipart(file: bytes) -> bytes:
    """The body of an import: `file` as a form's field, under a name that Dashboards takes."""
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="tillwatch.ndjson"\r\n'
        "Content-Type: application/ndjson\r\n\r\n"
    )
    return head.encode() + file + f"\r\n--{_BOUNDARY}--\r\n".encode()


def refusal(answer: Json) -> str:
    """What an import's answer says was refused, object by object."""
    errors = answer.get("errors", [])
    lines = [f"  {_reason(error)}" for error in errors[:ERRORS_SHOWN_MAX]]
    if len(errors) > ERRORS_SHOWN_MAX:
        lines.append(f"  and {len(errors) - ERRORS_SHOWN_MAX} more")
    taken = answer.get("successCount", 0)
    return "\n".join([f"Dashboards refused {len(errors)} objects and took {taken}:", *lines])


def _reason(error: Json) -> str:
    why = error.get("error", {})
    kind = str(why.get("type", "unknown"))
    missing = [f"{ref.get('type')} {ref.get('id')}" for ref in why.get("references", [])]
    detail = str(why.get("message", "")) or ", ".join(missing)
    said = f"{kind}: {detail}" if detail else kind
    return f"{error.get('type')} {error.get('id')}: {said[:_SAID_MAX]}"


def _same(wanted: SavedObject, there: Json) -> bool:
    references = [msgspec.to_builtins(reference) for reference in wanted.references]
    same: bool = there.get("references") == references
    return same and _read(wanted.attributes) == _read(there.get("attributes"))


def _read(value: Any) -> Any:
    """Attributes with the JSON in their strings read, and without the popularity of fields."""
    if isinstance(value, dict):
        return {key: _read(inner) for key, inner in value.items() if key != "count"}
    if isinstance(value, list):
        return [_read(inner) for inner in value]
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return _read(json.loads(value))
        except ValueError:
            return value
    return value
