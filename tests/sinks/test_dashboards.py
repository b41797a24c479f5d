"""The saved objects against their documented form."""

import json
import re
from typing import Any

import msgspec
import pytest

from sinks.dashboards.export import export
from sinks.templates import templates
from tests.sinks import dashboard_format as form
from tests.sinks.dashboard_search import METRICS, Json, pattern_of, source_of, state_of

OBJECTS, SUMMARY = form.read(export())
BY_ID = {(saved["type"], saved["id"]): saved for saved in OBJECTS}
# The metrics that a terms aggregation may not be ordered by.
UNORDERED = {"top_hits", "percentiles"}
# Where a chart takes which aggregation; what has to be there at least.
MIGRATIONS = {
    "index-pattern": "7.6.0",
    "search": "7.9.3",
    "visualization": "7.10.0",
    "dashboard": "7.9.3",
}
"""The newest that 2.x and 3.x have for each type; an import refuses what is newer."""
SEGMENTS_MAX, GROUPS_MAX = 1, 3
SCHEMAS = {
    "line": {"metric", "segment", "group"},
    "histogram": {"metric", "segment", "group"},
    "horizontal_bar": {"metric", "segment", "group"},
    "table": {"metric", "bucket"},
    "metric": {"metric", "group"},
    "heatmap": {"metric", "segment", "group"},
}


def every(kind: str) -> list[Any]:
    return [pytest.param(saved, id=saved["id"]) for saved in OBJECTS if saved["type"] == kind]


def charts() -> list[Any]:
    return [
        pytest.param(saved, id=saved["id"])
        for saved in OBJECTS
        if saved["type"] == "visualization" and state_of(saved)["aggs"]
    ]


def test_ids_are_unique_and_ours_and_the_last_line_counts_them() -> None:
    ids = [(saved["type"], saved["id"]) for saved in OBJECTS]
    assert len(set(ids)) == len(ids)
    assert all(id_.startswith("tillwatch-") for _, id_ in ids)
    titles = [(saved["type"], saved["attributes"]["title"]) for saved in OBJECTS]
    assert len(set(titles)) == len(titles)
    assert form.Summary(len(OBJECTS), 0, []) == SUMMARY


def test_every_index_has_a_pattern_with_its_fields() -> None:
    patterns = {
        saved["attributes"]["title"]: saved for saved in OBJECTS if saved["type"] == "index-pattern"
    }
    wanted = {
        template["index_patterns"][0]: template["template"]["mappings"]["properties"]
        for template in templates().values()
    }
    assert patterns.keys() == wanted.keys()
    for title, properties in wanted.items():
        fields = json.loads(patterns[title]["attributes"]["fields"])
        listed = {field["name"].split(".")[0] for field in fields if not field["scripted"]}
        assert listed >= properties.keys() - {"contact_name", "contact_email"}, title
        dates = {field["name"] for field in fields if field["type"] == "date"}
        assert patterns[title]["attributes"]["timeFieldName"] in dates


def test_the_same_bytes_every_time() -> None:
    assert export() == export()


@pytest.mark.parametrize("saved", [pytest.param(saved, id=saved["id"]) for saved in OBJECTS])
def test_attributes_and_what_they_hold_are_of_the_form(saved: Json) -> None:
    attributes = msgspec.convert(saved["attributes"], form.ATTRIBUTES[saved["type"]])
    assert saved["migrationVersion"] == {saved["type"]: MIGRATIONS[saved["type"]]}
    match attributes:
        case form.IndexPattern():
            fields = msgspec.json.decode(attributes.fields, type=list[form.Field])
            names = [field.name for field in fields]
            assert len(set(names)) == len(names)
            assert attributes.time_field_name in names
            formats = msgspec.json.decode(attributes.field_format_map, type=dict[str, form.Format])
            assert formats.keys() <= set(names)
            for field in fields:
                assert field.scripted == (field.script is not None) == (field.lang is not None)
        case form.Search():
            msgspec.json.decode(attributes.meta.search_source_json, type=form.SearchSource)
        case form.Visualization():
            msgspec.json.decode(attributes.meta.search_source_json, type=form.SearchSource)
            state = msgspec.json.decode(attributes.vis_state, type=form.VisState)
            assert state.title == attributes.title
            assert json.loads(attributes.ui_state) == {}
        case form.Dashboard():
            msgspec.json.decode(attributes.meta.search_source_json, type=form.SearchSource)
            assert json.loads(attributes.options).keys() <= {"hidePanelTitles", "useMargins"}


def test_references_lead_to_objects_that_came_before() -> None:
    seen: set[tuple[str, str]] = set()
    for saved in OBJECTS:
        names = [reference["name"] for reference in saved["references"]]
        assert len(set(names)) == len(names)
        for reference in saved["references"]:
            assert (reference["type"], reference["id"]) in seen, (saved["id"], reference)
        seen.add((saved["type"], saved["id"]))


def test_references_are_those_that_attributes_use() -> None:
    for saved in OBJECTS:
        used = set(re.findall(r'(?:R|r)efName\\*":\\*"([^"\\]+)', json.dumps(saved["attributes"])))
        assert used == {reference["name"] for reference in saved["references"]}, saved["id"]


def test_every_object_is_shown_somewhere() -> None:
    referred = {(ref["type"], ref["id"]) for saved in OBJECTS for ref in saved["references"]}
    assert {kind for kind, _ in BY_ID.keys() - referred} == {"dashboard"}


@pytest.mark.parametrize("saved", every("dashboard"))
def test_panels_lie_beside_each_other_within_the_grid(saved: Json) -> None:
    panels = msgspec.json.decode(saved["attributes"]["panelsJSON"], type=list[form.Panel])
    assert [panel.panel_ref_name for panel in panels] == [
        ref["name"] for ref in saved["references"]
    ]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel.grid_data
        assert grid.i == panel.panel_index
        assert grid.x + grid.w <= 48
        cells = {
            (x, y) for x in range(grid.x, grid.x + grid.w) for y in range(grid.y, grid.y + grid.h)
        }
        assert not cells & taken, panel
        taken |= cells


@pytest.mark.parametrize("saved", charts())
def test_a_chart_counts_what_its_index_pattern_has(saved: Json) -> None:
    state = state_of(saved)
    pattern = pattern_of(saved, BY_ID)
    ids = [found["id"] for found in state["aggs"]]
    assert ids == [str(place) for place in range(1, len(ids) + 1)]
    assert {found["schema"] for found in state["aggs"]} <= SCHEMAS[state["type"]]
    used = [found["schema"] for found in state["aggs"]]
    assert used.count("segment") <= SEGMENTS_MAX
    assert used.count("group") <= (1 if state["type"] == "metric" else GROUPS_MAX)
    kinds = {found["id"]: found["type"] for found in state["aggs"]}
    assert any(kind in METRICS for kind in kinds.values())
    for found in state["aggs"]:
        assert (found["type"] in METRICS) == (found["schema"] == "metric")
        params = found["params"]
        for name in ("field", "sortField"):
            if name in params:
                assert pattern.fields[params[name]]["aggregatable"], params[name]
        if found["type"] in {"avg", "sum", "percentiles"}:
            assert pattern.fields[params["field"]]["type"] == "number"
        if found["type"] == "date_histogram":
            assert pattern.fields[params["field"]]["type"] == "date"
        if found["type"] == "terms" and params["orderBy"] != "_key":
            assert kinds[params["orderBy"]] in METRICS - UNORDERED
    series = state["params"].get("seriesParams", [])
    assert {one["data"]["id"] for one in series} <= kinds.keys()


@pytest.mark.parametrize("saved", every("search"))
def test_a_list_shows_fields_that_its_index_pattern_has(saved: Json) -> None:
    pattern = pattern_of(saved, BY_ID)
    attributes = saved["attributes"]
    assert set(attributes["columns"]) <= pattern.fields.keys()
    assert {field for field, _ in attributes["sort"]} <= pattern.fields.keys()


def test_no_contact_data_is_shown_or_asked_for() -> None:
    for saved in OBJECTS:
        attributes = dict(saved["attributes"])
        if saved["id"] == "tillwatch-transactions":
            assert json.loads(attributes.pop("sourceFilters")) == [
                {"value": "contact_email"},
                {"value": "contact_name"},
            ]
        assert "contact" not in json.dumps(attributes)


def test_queries_speak_of_fields_that_there_are() -> None:
    for saved in OBJECTS:
        if saved["type"] not in {"search", "visualization"}:
            continue
        if "indexRefName" not in source_of(saved):
            continue
        pattern = pattern_of(saved, BY_ID)
        queries = [source_of(saved)["query"]["query"]]
        if saved["type"] == "visualization":
            for found in state_of(saved)["aggs"]:
                rows = found["params"].get("filters", [])
                queries += [row["input"]["query"] for row in rows]
        for query in queries:
            named = query.replace("_exists_:", "").replace("NOT ", "")
            for field in re.findall(r"([a-z_.]+):", named) or [named]:
                if field in {"", "*"}:
                    continue
                assert field in pattern.fields, (saved["id"], query)
