"""Whether the indices in OpenSearch are the ones that sinks/templates.py declares.

A document that is refused says little of whose fault it is: in an index whose mapping was guessed,
or is that of an older version, good documents are refused too, one by one. So an index is looked at
before a record is put aside for what it said, and the templates before anything is written.
"""

import logging
from collections.abc import Mapping
from typing import Any

from sinks.bulk_errors import APPLY
from sinks.opensearch_client import Refusal, ask
from sinks.templates import DATE_FORMAT_BEFORE, declared_for, templates

DIFFERENCES_TOLD_MAX = 4

_NOT_ALLOWED = frozenset({401, 403})
_NOT_FOUND = 404
_MISSING = " is missing"
_LOOKED_AT = "*.mappings,*.settings.index.default_pipeline,*.settings.index.final_pipeline"

_log = logging.getLogger(__name__)


class IndexCheck:
    """Looks at templates and indices through `client`, which sinks.opensearch_client.connect gave.

    Nothing is remembered: what was right a moment ago says nothing of now.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def templates(self) -> str | None:
        """What is wrong with the index templates, in words; None where they are there.

        Where this cluster does not let the worker look, that is logged, and nothing is wrong.

        Raises:
            Transient: OpenSearch does not answer.
        """
        try:
            answer = ask(self._client, "GET", "/_index_template/tillwatch-*")
        except Refusal as error:
            if error.status != _NOT_FOUND:
                _log.warning("cannot see whether the index templates are there: %s", error)
                return None
            answer = {}
        found = {one["name"]: one["index_template"] for one in answer.get("index_templates", ())}
        for name, wanted in templates().items():
            if name not in found:
                return f"there is no index template {name}: run {APPLY}"
            mappings = found[name].get("template", {}).get("mappings", {})
            wrong = differences(in_place(wanted["template"]["mappings"], mappings), mappings)
            if wrong:
                return (
                    f"the index template {name} is not this version's ({_told(wrong)}): run {APPLY}"
                )
        return None

    def index(self, name: str) -> str | None:
        """What is wrong with the index `name`, in words; None where it takes our documents.

        Raises:
            Transient: OpenSearch does not answer.
        """
        try:
            answer = ask(self._client, "GET", f"/{name}", params={"filter_path": _LOOKED_AT})
        except Refusal as error:
            grant = ": grant indices:admin/get" if error.status in _NOT_ALLOWED else ""
            return (
                f"it refuses documents for {name}, and does not show the index, so nobody knows "
                f"which of the two is at fault ({error}){grant}"
            )
        found = answer.get(name)
        if found is None:
            others = ", ".join(sorted(answer)) or "nothing"
            return f"{name} is no index but a name for others ({others}): remove it"
        return _trouble(name, found)


def _trouble(name: str, found: Mapping[str, Any]) -> str | None:
    settings = found.get("settings", {}).get("index", {})
    if settings:
        return f"{name} has an ingest pipeline, ours have none: set {', '.join(settings)} to null"
    has = found.get("mappings", {})
    wrong = differences(in_place(declared_for(name) or {}, has), has)
    if not wrong:
        return None
    return (
        f"{name} has another mapping than this version's ({_told(wrong)}): run {APPLY}, which "
        "adds what is missing; where a type differs, reindex it"
    )


def differences(declared: Mapping[str, Any], found: Mapping[str, Any], path: str = "") -> list[str]:
    """In what `found`, a mapping, does not do what `declared` asks for, in words; pure.

    More fields than declared are right: a newer version has them.
    """
    wrong = []
    for key, wanted in sorted(declared.items(), key=lambda item: item[0] != "type"):
        if key == "properties":
            continue
        has = found.get(key)
        if str(has).lower() != str(wanted).lower() and has != wanted:
            wrong.append(_difference(path, key, wanted, has))
            if key == "type":
                return wrong  # what else differs follows from it
    if not path and found.get("_routing", {}).get("required"):
        wrong.append("it wants a routing value")
    properties = found.get("properties", {})
    for name, wanted in declared.get("properties", {}).items():
        full = f"{path}.{name}" if path else name
        if name not in properties:
            wrong.append(f"{full}{_MISSING}")
        else:
            wrong += differences(wanted, properties[name], full)
    return wrong


def in_place(declared: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping `declared` as the index or template with `found` may have it; pure.

    The format of a time never changes in an index, and that of an older version takes the same: so
    it is no reason to wait for a template either.
    """
    made: dict[str, Any] = {}
    for key, wanted in declared.items():
        has = found.get(key)
        if isinstance(wanted, Mapping):
            made[key] = in_place(wanted, has if isinstance(has, Mapping) else {})
        else:
            made[key] = has if key == "format" and has == DATE_FORMAT_BEFORE else wanted
    return made


def _difference(path: str, key: str, wanted: Any, has: Any) -> str:
    where = path or "the whole"
    if key == "type":
        return f"{where} is {has or 'an object'}, not {wanted}"
    if key == "dynamic":
        return f"{where} takes unknown fields"
    return f"{where} has {key} {has}, not {wanted}"


def _is_missing(difference: str) -> bool:
    return difference.endswith(_MISSING)


def _told(wrong: list[str]) -> str:
    """The first of `wrong`; what is missing comes last, since it is added, not made anew."""
    more = len(wrong) - DIFFERENCES_TOLD_MAX
    told = ", ".join(sorted(wrong, key=_is_missing)[:DIFFERENCES_TOLD_MAX])
    return f"{told} and {more} more" if more > 0 else told
