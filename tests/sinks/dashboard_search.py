"""What Dashboards asks OpenSearch for a visualization or a saved search, built as it builds it.

From the saved object alone: `visState`'s aggregations, the search source's query and filters, and
the index pattern's time field, calculated fields and source filters. As in Dashboards
- buckets nest in their order, and metrics lie in the innermost one; a count is no aggregation,
  since every bucket has its number of documents;
- an aggregation over a calculated field sends its script;
- queries are in Lucene's syntax and go as `query_string`; the time range is a filter;
- a step of time that would give more than 100 bars is lengthened; "auto" is a minute here, so
  lengthened (Dashboards aims at 50 bars, by a table of its own).
"""

import json
from typing import Any

from events.instant import DAY, HOUR, MINUTE, SECOND, Instant, to_iso

Json = dict[str, Any]

BARS_MAX = 100
"""`histogram:maxBars` as Dashboards is delivered."""
ROWS = 500
"""`discover:sampleSize`, likewise."""
METRICS = {"count", "avg", "sum", "max", "min", "cardinality", "percentiles", "top_hits"}
_STEPS = {"m": MINUTE, "h": HOUR, "d": DAY}
_LONGER = [MINUTE * n for n in (1, 5, 10, 30)] + [HOUR, 3 * HOUR, 12 * HOUR, DAY]


class Pattern:
    """An index pattern, from its saved object."""

    def __init__(self, saved: Json) -> None:
        attributes = saved["attributes"]
        self.indices: str = attributes["title"]
        self.time_field: str | None = attributes.get("timeFieldName")
        self.fields = {field["name"]: field for field in json.loads(attributes["fields"])}
        self.hidden = [row["value"] for row in json.loads(attributes.get("sourceFilters", "[]"))]

    def scripts(self) -> Json:
        return {
            name: {"script": _script(field)}
            for name, field in self.fields.items()
            if field["scripted"]
        }


def pattern_of(saved: Json, objects: dict[tuple[str, str], Json]) -> Pattern:
    """The index pattern that the search source of `saved` names."""
    name = source_of(saved)["indexRefName"]
    (found,) = (ref for ref in saved["references"] if ref["name"] == name)
    return Pattern(objects[found["type"], found["id"]])


def source_of(saved: Json) -> Json:
    source: Json = json.loads(saved["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    return source


def state_of(saved: Json) -> Json:
    state: Json = json.loads(saved["attributes"]["visState"])
    return state


def chart_body(
    saved: Json, pattern: Pattern, since: Instant, until: Instant, filters: tuple[Json, ...] = ()
) -> Json:
    """The search of a visualization with aggregations."""
    state = state_of(saved)
    return _body(saved, pattern, since, until, filters) | {
        "size": 0,
        "aggs": aggregations(state["aggs"], pattern, until - since),
    }


def listing_body(saved: Json, pattern: Pattern, since: Instant, until: Instant) -> Json:
    """The search of a saved search."""
    return _body(saved, pattern, since, until, ()) | {
        "size": ROWS,
        "version": True,
        "sort": [
            {field: {"order": order, "unmapped_type": "boolean"}}
            for field, order in saved["attributes"]["sort"]
        ],
    }


def aggregations(states: list[Json], pattern: Pattern, span: Instant) -> Json:
    buckets = [state for state in states if state["type"] not in METRICS]
    metrics = [state for state in states if state["type"] in METRICS]
    inner: Json = {
        state["id"]: _metric(state, pattern) for state in metrics if state["type"] != "count"
    }
    for state in reversed(buckets):
        ordering = _ordering(state, metrics, pattern)
        own = _bucket(state, metrics, pattern, span)
        inner = {state["id"]: own | {"aggs": inner | ordering if inner or ordering else {}}}
    return inner


def _body(
    saved: Json, pattern: Pattern, since: Instant, until: Instant, filters: tuple[Json, ...]
) -> Json:
    source = source_of(saved)
    wanted: list[Json] = [{"match_all": {}}]
    if pattern.time_field is not None:
        bounds = {"gte": to_iso(since), "lte": to_iso(until), "format": "strict_date_optional_time"}
        wanted.append({"range": {pattern.time_field: bounds}})
    wanted += [row["query"] for row in (*source["filter"], *filters) if not row["meta"]["disabled"]]
    dates = [name for name, field in pattern.fields.items() if field["type"] == "date"]
    return {
        "query": {
            "bool": {
                "must": _lucene(source["query"]),
                "filter": wanted,
                "should": [],
                "must_not": [],
            }
        },
        "stored_fields": ["*"],
        "script_fields": pattern.scripts(),
        "docvalue_fields": [{"field": name, "format": "date_time"} for name in dates],
        "_source": {"excludes": pattern.hidden},
    }


def _lucene(query: Json) -> list[Json]:
    assert query["language"] == "lucene"
    if not query["query"].strip():
        return [{"match_all": {}}]
    asked = {"query": query["query"], "analyze_wildcard": True, "time_zone": "UTC"}
    return [{"query_string": asked}]


def _metric(state: Json, pattern: Pattern) -> Json:
    kind, params = state["type"], state["params"]
    if kind == "top_hits":
        field = pattern.fields[params["field"]]
        shown = {"field": field["name"]}
        return {
            kind: {
                "docvalue_fields": [shown] if field["readFromDocValues"] else [],
                "_source": field["name"],
                "size": params["size"],
                "sort": [{params["sortField"]: {"order": params["sortOrder"]}}],
            }
        }
    body = _on(params["field"], pattern)
    if kind == "percentiles":
        body |= {"percents": params["percents"], "keyed": False}
    return {kind: body}


def _bucket(state: Json, metrics: list[Json], pattern: Pattern, span: Instant) -> Json:
    kind, params = state["type"], state["params"]
    if kind == "filters":
        queries = {
            row["label"]: {"bool": {"must": _lucene(row["input"]), "filter": []}}
            for row in params["filters"]
        }
        return {kind: {"filters": queries}}
    body = _on(params["field"], pattern)
    if kind == "date_histogram":
        step = interval(params["interval"], span)
        body |= {"min_doc_count": params["min_doc_count"], "time_zone": "UTC"} | step
        return {kind: body}
    assert kind == "terms", kind
    if "script" in body:
        body["value_type"] = "float"
    by = params["orderBy"]
    counts = {state["id"] for state in metrics if state["type"] == "count"}
    return {
        kind: body
        | {"size": params["size"], "order": {"_count" if by in counts else by: params["order"]}}
    }


def _ordering(state: Json, metrics: list[Json], pattern: Pattern) -> Json:
    """The metric that a bucket is ordered by has to lie in that bucket too."""
    by = state["params"].get("orderBy")
    return {
        metric["id"]: _metric(metric, pattern)
        for metric in metrics
        if metric["id"] == by and metric["type"] != "count"
    }


def interval(wanted: str, span: Instant) -> Json:
    step = _STEPS["m"] if wanted == "auto" else _STEPS[wanted]
    if span / step > BARS_MAX or wanted == "auto":
        step = next(longer for longer in _LONGER if span / longer <= BARS_MAX)
    for unit in ("d", "h", "m"):
        if step == _STEPS[unit]:
            return {"calendar_interval": f"1{unit}"}
    return {"fixed_interval": f"{step // SECOND}s"}


def _on(name: str, pattern: Pattern) -> Json:
    field = pattern.fields[name]
    return {"script": _script(field)} if field["scripted"] else {"field": name}


def _script(field: Json) -> Json:
    return {"source": field["script"], "lang": field["lang"]}


def innermost(answer: Json, states: list[Json]) -> list[Json]:
    """The buckets of an answer that hold the metrics; the answer itself where nothing splits."""
    found = [answer.get("aggregations", {}) | {"doc_count": answer["hits"]["total"]["value"]}]
    for state in states:
        if state["type"] not in METRICS:
            found = [bucket for outer in found for bucket in _listed(outer[state["id"]]["buckets"])]
    return found


def _listed(buckets: Any) -> list[Json]:
    if isinstance(buckets, dict):
        return [{"key": label} | bucket for label, bucket in buckets.items()]
    return list(buckets)
