"""Clients of AWS that hold no more of AWS's own descriptions than their calls need.

botocore reads what a service is from JSON files, and keeps all of it as ordered dictionaries: with
the five services of a shard 15 MiB, of which a fifth is ever looked at. The rest are the endpoints
of 400 other services, and prose. Leaving it out takes two places that botocore offers for that: a
session's component `data_loader`, and the loader's `file_loader`.
"""

import gzip
from functools import cache
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, create_loader
from botocore.session import Session, get_session
from msgspec import Raw
from msgspec.json import decode

_SERVICES = frozenset(
    {
        *("dynamodb", "glue", "kinesis", "s3", "secretsmanager", "sns", "sqs"),
        # Where credentials come from.
        *("oidc", "portal.sso", "signin", "sso", "sts"),
    }
)
"""Services whose entries in the list of endpoints are kept; others get their partition's default,
which is theirs too but for a few that we do not call."""
_PROSE = ("documentation", "documentationUrl")


class Descriptions(JSONFileLoader):  # type: ignore[misc]  # untyped library
    """Reads botocore's JSON files as plain dictionaries, without prose and other endpoints."""

    def load_file(self, file_path: str) -> Any:
        """What the file holds, whose name `file_path` is but for its suffix; None if it is not."""
        path = Path(file_path)
        plain, packed = (path.with_name(path.name + end) for end in (".json", ".json.gz"))
        if plain.is_file():
            data = plain.read_bytes()
        elif packed.is_file():
            data = gzip.decompress(packed.read_bytes())
        else:
            return None
        if path.name == "endpoints":
            return _endpoints(data)
        described = decode(data)
        if path.name == "service-2":
            _leave_prose_out(described)
        return described


def _endpoints(data: bytes) -> dict[str, Any]:
    """The list of endpoints; what is left out of it never becomes an object either."""
    parts = decode(data, type=dict[str, Raw])
    partitions = decode(parts.pop("partitions"), type=list[dict[str, Raw]])
    return _whole(parts) | {"partitions": [_partition(parts) for parts in partitions]}


def _partition(parts: dict[str, Raw]) -> dict[str, Any]:
    services = decode(parts.pop("services"), type=dict[str, Raw])
    kept = {name: services[name] for name in _SERVICES & services.keys()}
    return _whole(parts) | {"services": _whole(kept)}


def _whole(parts: dict[str, Raw]) -> dict[str, Any]:
    return {name: decode(part) for name, part in parts.items()}


def _leave_prose_out(described: dict[str, Any]) -> None:
    things = [described, *described["operations"].values()]
    for shape in described["shapes"].values():
        members = shape.get("members", {}).values()
        things += [shape, *members, *(shape[kind] for kind in ("member", "value") if kind in shape)]
    for thing in things:
        for word in _PROSE:
            thing.pop(word, None)


@cache
def _session() -> Session:
    """The session of this process: clients share the credentials that were found for one."""
    session = get_session()
    loader = create_loader(session.get_config_variable("data_path"))
    loader.file_loader = Descriptions()
    session.register_component("data_loader", loader)
    return session


def client(service: str, **arguments: Any) -> Any:
    """A client of `service`, as `boto3.client` makes one; `arguments` are botocore's."""
    return _session().create_client(service, **arguments)
