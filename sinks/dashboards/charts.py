"""The kinds of charts that the dashboards are made of, as visualizations. Pure."""

from collections.abc import Sequence
from typing import Literal

from sinks.dashboards.aggregations import Aggregation
from sinks.dashboards.saved_object import (
    PREFIX,
    Json,
    Reference,
    SavedObject,
    asked,
    compact,
    search_source,
)


def lines(
    id_: str, title: str, pattern: SavedObject, aggregations: Sequence[Aggregation], query: str = ""
) -> SavedObject:
    """Lines along time."""
    return _chart(id_, title, "line", _axes("line", aggregations), pattern, aggregations, query)


def columns(
    id_: str, title: str, pattern: SavedObject, aggregations: Sequence[Aggregation], query: str = ""
) -> SavedObject:
    """Columns, one series on another."""
    params = _axes("histogram", aggregations, mode="stacked")
    return _chart(id_, title, "histogram", params, pattern, aggregations, query)


def bars(
    id_: str, title: str, pattern: SavedObject, aggregations: Sequence[Aggregation], query: str = ""
) -> SavedObject:
    """Bars that lie, the longest above: for names, which want room."""
    params = _axes("horizontal_bar", aggregations, lying=True)
    return _chart(id_, title, "horizontal_bar", params, pattern, aggregations, query)


def table(
    id_: str,
    title: str,
    pattern: SavedObject,
    aggregations: Sequence[Aggregation],
    query: str = "",
    *,
    rows: int = 10,
) -> SavedObject:
    """One row for each bucket, `rows` on a page of it."""
    params = {
        "perPage": rows,
        "percentageCol": "",
        "showMetricsAtAllLevels": False,
        "showPartialRows": False,
        "showTotal": False,
        "sort": {"columnIndex": None, "direction": None},
        "totalFunc": "sum",
    }
    return _chart(id_, title, "table", params, pattern, aggregations, query)


def figures(
    id_: str, title: str, pattern: SavedObject, aggregations: Sequence[Aggregation], query: str = ""
) -> SavedObject:
    """A few large numbers."""
    params = {
        "addLegend": False,
        "addTooltip": True,
        "type": "metric",
        "metric": {
            "colorSchema": "Green to Red",
            "colorsRange": [{"from": 0, "to": 10_000}],
            "invertColors": False,
            "labels": {"show": True},
            "metricColorMode": "None",
            "percentageMode": False,
            "style": {
                "bgColor": False,
                "bgFill": "#000",
                "fontSize": 32,
                "labelColor": False,
                "subText": "",
            },
            "useRanges": False,
        },
    }
    return _chart(id_, title, "metric", params, pattern, aggregations, query)


def chooser(id_: str, title: str, pattern: SavedObject, choices: dict[str, str]) -> SavedObject:
    """Lists to choose values from, by field and label; the choice filters the whole dashboard."""
    name = "control_{}_index_pattern"
    controls = [
        {
            "id": f"{PREFIX}{field}",
            "fieldName": field,
            "indexPatternRefName": name.format(place),
            "label": label,
            "parent": "",
            "type": "list",
            "options": {
                "dynamicOptions": True,
                "multiselect": True,
                "order": "desc",
                "size": 10,
                "type": "terms",
            },
        }
        for place, (field, label) in enumerate(choices.items())
    ]
    params = {
        "controls": controls,
        "pinFilters": False,
        "updateFiltersOnChange": True,
        "useTimeFilter": False,
    }
    references = tuple(
        Reference(name.format(place), pattern.type, pattern.id) for place in range(len(choices))
    )
    return _without_data(id_, title, "input_control_vis", params, references)


def note(id_: str, title: str, text: str) -> SavedObject:
    """Some words, in Markdown."""
    params = {"fontSize": 12, "markdown": text, "openLinksInNewTab": True}
    return _without_data(id_, title, "markdown", params, ())


def _chart(
    id_: str,
    title: str,
    kind: str,
    params: Json,
    pattern: SavedObject,
    aggregations: Sequence[Aggregation],
    query: str,
) -> SavedObject:
    states = [found.state(place) for place, found in enumerate(aggregations, 1)]
    meta, reference = search_source(pattern, query)
    return _visualization(id_, title, kind, params, states, meta, (reference,))


def _without_data(
    id_: str, title: str, kind: str, params: Json, references: tuple[Reference, ...]
) -> SavedObject:
    meta = {"searchSourceJSON": compact(asked(""))}
    return _visualization(id_, title, kind, params, [], meta, references)


def _visualization(
    id_: str,
    title: str,
    kind: str,
    params: Json,
    aggregations: list[Json],
    meta: Json,
    references: tuple[Reference, ...],
) -> SavedObject:
    state = {"title": title, "type": kind, "aggs": aggregations, "params": params}
    attributes = {
        "title": title,
        "description": "",
        "kibanaSavedObjectMeta": meta,
        "uiStateJSON": "{}",
        "version": 1,
        "visState": compact(state),
    }
    return SavedObject(f"{PREFIX}{id_}", "visualization", attributes, references)


def _axes(
    kind: Literal["line", "histogram", "horizontal_bar"],
    aggregations: Sequence[Aggregation],
    *,
    mode: str = "normal",
    lying: bool = False,
) -> Json:
    """What a chart with two axes is drawn with; every metric is a series on the one value axis."""
    metrics = [
        (place, found) for place, found in enumerate(aggregations, 1) if found.schema == "metric"
    ]
    shape = "line" if kind == "line" else "histogram"
    return {
        "type": kind,
        "addLegend": True,
        "addTimeMarker": False,
        "addTooltip": True,
        "grid": {"categoryLines": False},
        "labels": {"show": False},
        "legendPosition": "right",
        "times": [],
        "thresholdLine": {
            "color": "#E7664C",
            "show": False,
            "style": "full",
            "value": 10,
            "width": 1,
        },
        "categoryAxes": [
            {
                "id": "CategoryAxis-1",
                "labels": {"filter": not lying, "rotate": 0, "show": True, "truncate": 200},
                "position": "left" if lying else "bottom",
                "scale": {"type": "linear"},
                "show": True,
                "style": {},
                "title": {},
                "type": "category",
            }
        ],
        "valueAxes": [
            {
                "id": "ValueAxis-1",
                "labels": {"filter": lying, "rotate": 0, "show": True, "truncate": 100},
                "name": "BottomAxis-1" if lying else "LeftAxis-1",
                "position": "bottom" if lying else "left",
                "scale": {"mode": "normal", "type": "linear"},
                "show": True,
                "style": {},
                "title": {"text": ", ".join(found.label for _, found in metrics)},
                "type": "value",
            }
        ],
        "seriesParams": [
            {
                "data": {"id": str(place), "label": found.label},
                "drawLinesBetweenPoints": True,
                "interpolate": "linear",
                "lineWidth": 2,
                "mode": mode,
                "show": True,
                "showCircles": True,
                "type": shape,
                "valueAxis": "ValueAxis-1",
            }
            for place, found in metrics
        ],
    }
