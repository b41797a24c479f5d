"""The fields of an index pattern, from the mapping that OpenSearch gets. Pure.

Dashboards would ask the indices for them; a list of its own is right before the first document, and
says which fields are calculated when somebody looks.
"""

from collections.abc import Iterator

import msgspec

from sinks.dashboards.saved_object import Json

# What Dashboards calls the types of our mappings.
_TYPES = {
    "keyword": "string",
    "text": "string",
    "date": "date",
    "scaled_float": "number",
    "double": "number",
    "long": "number",
    "integer": "number",
    "short": "number",
    "flat_object": "unknown",
}
_META: tuple[tuple[str, str, list[str], bool], ...] = (
    ("_id", "string", ["_id"], True),
    ("_index", "string", ["_index"], True),
    ("_score", "number", [], False),
    ("_source", "_source", ["_source"], False),
)


class Calculated(msgspec.Struct, frozen=True):
    """A number that Painless works out of a document's fields when it is asked for."""

    name: str
    script: str


def fields(mapping: Json, calculated: tuple[Calculated, ...], hidden: frozenset[str]) -> list[Json]:
    """Every field of `mapping` but the `hidden` ones, what is `calculated`, and OpenSearch's own.

    Raises:
        KeyError: a type of mapping that this has no name for.
    """
    own = [
        _field(name, kind, es_types, searchable=searchable, aggregatable=searchable)
        for name, kind, es_types, searchable in _META
    ]
    mapped = [
        _field(
            name,
            _TYPES[leaf["type"]],
            [leaf["type"]],
            searchable=leaf.get("index", True),
            aggregatable=_has_values(leaf),
            from_values=_has_values(leaf),
        )
        for name, leaf in _leaves(mapping)
        if name not in hidden
    ]
    worked_out = [
        {**_field(made.name, "number", [], searchable=True, aggregatable=True), **_script(made)}
        for made in calculated
    ]
    return sorted([*own, *mapped, *worked_out], key=lambda field: str(field["name"]))


def _leaves(mapping: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    for name, inner in mapping["properties"].items():
        if "properties" in inner:
            yield from _leaves(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", inner


def _has_values(leaf: Json) -> bool:
    return bool(leaf.get("doc_values", leaf["type"] not in {"text", "flat_object"}))


def _field(
    name: str,
    kind: str,
    es_types: list[str],
    *,
    searchable: bool,
    aggregatable: bool,
    from_values: bool = False,
) -> Json:
    return {
        "count": 0,
        "name": name,
        "type": kind,
        "esTypes": es_types,
        "scripted": False,
        "searchable": searchable,
        "aggregatable": aggregatable,
        "readFromDocValues": from_values,
    }


def _script(made: Calculated) -> Json:
    return {"scripted": True, "script": made.script, "lang": "painless"}
