"""What a cluster has of templates, indices and policies, beside what this program declares.

`changes` asks and says, `apply` does. Both may be repeated: what is as declared is left alone.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sinks.index_check import differences, in_place
from sinks.opensearch_client import ask
from sinks.templates import kind_of

Json = Any


class Request(msgspec.Struct, frozen=True):
    """One request that makes a thing as it is declared."""

    method: str
    path: str
    body: Json
    params: dict[str, str] | None = None


class Change(msgspec.Struct, frozen=True):
    """One thing: what it is now, what it should be, and the requests that make it so."""

    kind: str
    name: str
    before: Json
    """None where there is none yet."""
    after: Json
    requests: tuple[Request, ...] = ()
    trouble: str | None = None
    """Why it cannot be made so; then nothing is sent."""

    @property
    def verb(self) -> str:
        """`create`, `change`, `same`, or `cannot`."""
        if self.trouble is not None:
            return "cannot"
        if self.before is None:
            return "create"
        return "same" if canonical(self.before) == canonical(self.after) else "change"

    def lines(self) -> Iterator[str]:
        """The change for people: a heading, and a unified diff where there is something to see."""
        trouble = f": {self.trouble}" if self.trouble else ""
        yield f"{self.verb} {self.kind} {self.name}{trouble}"
        if self.verb in {"create", "change"}:
            before, after = _printed(self.before), _printed(self.after)
            diff = difflib.unified_diff(before, after, "in the cluster", "declared", lineterm="")
            yield from (f"  {line}" for line in diff)


def apply(client: Any, found: list[Change]) -> int:
    """Send what `found` needs; how many things were changed.

    Raises:
        Transient: OpenSearch does not answer.
        Refusal: it refuses one of the requests; those before it stand.
    """
    changed = 0
    for change in found:
        if change.verb in {"create", "change"}:
            for request in change.requests:
                ask(client, request.method, request.path, request.body, request.params)
            changed += 1
    return changed


def template_changes(client: Any, wanted: Mapping[str, Json]) -> list[Change]:
    """One change per index template of `wanted`, which is as sinks.templates makes them."""
    answer = ask(client, "GET", "/_index_template")
    there = {one["name"]: one["index_template"] for one in answer.get("index_templates", ())}
    made = []
    for name, body in wanted.items():
        before = there.get(name)
        if before is not None:
            before = {key: value for key, value in before.items() if value or key in body}
        request = Request("PUT", f"/_index_template/{name}", body)
        trouble = _overlapping(name, body, there)
        made.append(Change("index template", name, before, body, (request,), trouble))
    return made


def _overlapping(name: str, body: Json, there: Mapping[str, Json]) -> str | None:
    """Words on a template of somebody else that would be taken instead of `body`."""
    (pattern,) = body["index_patterns"]
    for other, template in sorted(there.items()):
        if other == name or template.get("priority", 0) < body["priority"]:
            continue
        if any(_overlap(pattern, of) for of in template["index_patterns"]):
            return (
                f"the template {other} ({', '.join(template['index_patterns'])}) takes its place: "
                f"give it a priority below {body['priority']}, or other patterns"
            )
    return None


def _overlap(ours: str, other: str) -> bool:
    """Whether one index name can match both; `ours` is a name, or one with a `*` at its end."""
    ours_fixed, other_fixed = ours.split("*", 1)[0], other.split("*", 1)[0]
    if "*" not in ours and "*" not in other:
        return ours == other
    if "*" not in ours:
        return ours.startswith(other_fixed)
    if "*" not in other:
        return other.startswith(ours_fixed)
    return ours_fixed.startswith(other_fixed) or other_fixed.startswith(ours_fixed)


def index_changes(client: Any, wanted: Mapping[str, Json]) -> list[Change]:
    """One change per index that is there: fields and aliases it lacks, settings that can change.

    Shards and codec are those that an index was made with. A field of another type cannot be
    mended in place; that is said, and nothing is sent for that index.
    """
    every = ",".join(body["index_patterns"][0] for body in wanted.values())
    asked = {
        "filter_path": "*.mappings,*.aliases,*.settings.index.number_of_replicas,"
        "*.settings.index.refresh_interval",
        "ignore_unavailable": "true",
        "allow_no_indices": "true",
        "expand_wildcards": "open",
    }
    made = []
    for name, found in sorted(ask(client, "GET", f"/{every}", params=asked).items()):
        template = wanted[f"tillwatch-{kind_of(name)}"]["template"]
        made.append(_index_change(name, found, template))
    return made


def _index_change(name: str, found: Json, template: Json) -> Change:
    has = found.get("mappings", {})
    declared = in_place(template["mappings"], has)
    wrong = differences(declared, has)
    settings = {
        key: value
        for key, value in template.get("settings", {}).get("index", {}).items()
        if key in {"number_of_replicas", "refresh_interval"}
    }
    after = {
        "mappings": declared,
        "aliases": sorted(template["aliases"]),
        "settings": settings,
    }
    there = found.get("settings", {}).get("index", {})
    before = {
        "mappings": projected(has, declared),
        "aliases": sorted(set(found.get("aliases", {})) & set(template["aliases"])),
        "settings": {key: there[key] for key in settings if key in there},
    }
    requests = []
    if wrong:
        requests.append(Request("PUT", f"/{name}/_mapping", declared))
    if canonical(before["settings"]) != canonical(settings):
        requests.append(Request("PUT", f"/{name}/_settings", {"index": settings}))
    missing = [alias for alias in after["aliases"] if alias not in before["aliases"]]
    if missing:
        adds = [
            {"add": {"index": name, "alias": alias, **template["aliases"][alias]}}
            for alias in missing
        ]
        requests.append(Request("POST", "/_aliases", {"actions": adds}))
    types = [difference for difference in wrong if ", not " in difference]
    trouble = f"{', '.join(types[:4])}: reindex it" if types else None
    return Change("index", name, before, after, tuple(requests), trouble)


def projected(found: Json, declared: Json) -> Json:
    """What `found` has of the keys of `declared`, so that what a server adds is no difference."""
    if isinstance(declared, Mapping) and isinstance(found, Mapping):
        return {key: projected(found[key], declared[key]) for key in declared if key in found}
    if isinstance(declared, list) and isinstance(found, list) and len(found) == len(declared):
        return [projected(one, of) for one, of in zip(found, declared, strict=True)]
    return found


def canonical(value: Json) -> Json:
    """`value` as it compares: servers give numbers and booleans back as text."""
    if isinstance(value, Mapping):
        return {str(key): canonical(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(of) for of in value]
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return f"{float(value):g}"
    except (TypeError, ValueError):
        return None if value is None else str(value)


def _printed(value: Json) -> list[str]:
    if value is None:
        return []
    return json.dumps(canonical(value), indent=1, sort_keys=True, ensure_ascii=False).split("\n")
