"""A saved object of OpenSearch Dashboards, and the file that its import takes. Pure.

The form is that of an export: one JSON object a line, then a line that counts them. It holds for
2.x and 3.x, which both read what Kibana 7.10 wrote: attributes whose names end in JSON (and
`visState`) are JSON inside a string, and what an object speaks of stands in `references`, by a name
that the attributes use in place of the id. `migrationVersion` is the newest migration that either
knows of each type; so an import changes nothing, and what is there can be compared with what is
wanted.
"""

import json
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

Json = dict[str, Any]
Kind = Literal["index-pattern", "search", "visualization", "dashboard"]

PREFIX = "tillwatch-"
"""All ids begin so: whatever else lies in the same place is somebody else's."""

MIGRATED: dict[Kind, str] = {
    "index-pattern": "7.6.0",
    "search": "7.9.3",
    "visualization": "7.10.0",
    "dashboard": "7.9.3",
}
_INDEX = "kibanaSavedObjectMeta.searchSourceJSON.index"


class Reference(msgspec.Struct, frozen=True):
    """That an object speaks of another, under `name`."""

    name: str
    type: Kind
    id: str


class SavedObject(msgspec.Struct, frozen=True):
    """One object. `id` never changes: an import overwrites it, and links lead to it."""

    id: str
    type: Kind
    attributes: Json
    references: tuple[Reference, ...] = ()

    @property
    def title(self) -> str:
        """What people see."""
        return str(self.attributes["title"])

    def line(self) -> str:
        """The object as a line of the file, equal for equal objects."""
        return compact(
            {
                "attributes": self.attributes,
                "id": self.id,
                "migrationVersion": {self.type: MIGRATED[self.type]},
                "references": msgspec.to_builtins(self.references),
                "type": self.type,
            }
        )


def compact(value: Any) -> str:
    """JSON without spaces, as attributes hold it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def ndjson(objects: Iterable[SavedObject]) -> bytes:
    """The file of these objects; each comes after what it refers to, if they are given so."""
    lines = [found.line() for found in objects]
    counted = {"exportedCount": len(lines), "missingRefCount": 0, "missingReferences": []}
    return "".join(f"{line}\n" for line in [*lines, compact(counted)]).encode()


def search_source(pattern: SavedObject, query: str, **more: Any) -> tuple[Json, Reference]:
    """What a search or chart asks: `query`, in Lucene's syntax, of the indices of `pattern`.

    Lucene's, because it goes to OpenSearch as it stands: nothing is translated on the way.
    """
    source = {**asked(query), "indexRefName": _INDEX, **more}
    meta = {"searchSourceJSON": compact(source)}
    return meta, Reference(_INDEX, pattern.type, pattern.id)


def asked(query: str) -> Json:
    """A query without filters beside it."""
    return {"query": {"language": "lucene", "query": query}, "filter": []}
