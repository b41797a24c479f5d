"""The documented form of saved objects, as strict types: an unknown or missing field is an error.

Attributes are those of the mappings that Dashboards 2.x and 3.x register for each type; what is
JSON within a string is decoded and checked likewise.
"""

import json
from typing import Annotated, Any, Literal

import msgspec

Json = dict[str, Any]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Version = Annotated[str, msgspec.Meta(pattern=r"^\d+\.\d+\.\d+$")]


class Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class Reference(Strict):
    name: Text
    type: Literal["index-pattern", "search", "visualization", "dashboard"]
    id: Text


class Object(Strict):
    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+$")]
    type: Literal["index-pattern", "search", "visualization", "dashboard"]
    attributes: Json
    references: list[Reference]
    migration_version: dict[str, Version]


class Summary(Strict):
    exported_count: int
    missing_ref_count: int
    missing_references: list[Json]


class Query(Strict):
    language: Literal["lucene", "kuery"]
    query: str


class FilterMeta(Strict):
    alias: str | None
    disabled: bool
    negate: bool
    key: Text
    type: Text
    params: Json
    index_ref_name: str


class SearchSource(Strict):
    query: Query
    filter: list[Json]
    index_ref_name: str | None = None
    highlight_all: bool = False
    version: bool = False


class Meta(Strict):
    search_source_json: str = msgspec.field(name="searchSourceJSON")


class IndexPattern(Strict):
    title: Text
    time_field_name: Text
    fields: str
    field_format_map: str
    source_filters: str = "[]"


class Field(Strict):
    name: Text
    type: Literal["string", "number", "date", "boolean", "unknown", "_source"]
    es_types: list[str]
    count: int
    scripted: bool
    searchable: bool
    aggregatable: bool
    read_from_doc_values: bool
    script: str | None = None
    lang: Literal["painless"] | None = None


class Format(Strict):
    id: Literal["number", "percent"]
    params: dict[Literal["pattern"], str]


class Search(Strict):
    title: Text
    description: str
    columns: list[Text]
    sort: list[tuple[Text, Literal["asc", "desc"]]]
    hits: int
    version: int
    meta: Meta = msgspec.field(name="kibanaSavedObjectMeta")


class Visualization(Strict):
    title: Text
    description: str
    vis_state: str
    ui_state: str = msgspec.field(name="uiStateJSON")
    version: int
    meta: Meta = msgspec.field(name="kibanaSavedObjectMeta")


KINDS = Literal[
    "line",
    "histogram",
    "horizontal_bar",
    "table",
    "metric",
    "heatmap",
    "markdown",
    "input_control_vis",
]


class Aggregation(Strict):
    id: Annotated[str, msgspec.Meta(pattern=r"^\d+$")]
    enabled: Literal[True]
    type: Literal[
        "count",
        "avg",
        "sum",
        "max",
        "cardinality",
        "percentiles",
        "top_hits",
        "terms",
        "filters",
        "date_histogram",
    ]
    schema: Literal["metric", "segment", "group", "bucket"]
    params: Json


class VisState(Strict):
    title: Text
    type: KINDS
    aggs: list[Aggregation]
    params: Json


class RefreshInterval(Strict):
    pause: bool
    value: int


class Dashboard(Strict):
    title: Text
    description: str
    hits: int
    options: str = msgspec.field(name="optionsJSON")
    panels: str = msgspec.field(name="panelsJSON")
    refresh_interval: RefreshInterval
    time_from: Text
    time_to: Text
    time_restore: Literal[True]
    version: int
    meta: Meta = msgspec.field(name="kibanaSavedObjectMeta")


class GridData(Strict):
    x: Annotated[int, msgspec.Meta(ge=0)]
    y: Annotated[int, msgspec.Meta(ge=0)]
    w: Annotated[int, msgspec.Meta(ge=1, le=48)]
    h: Annotated[int, msgspec.Meta(ge=1)]
    i: Text


class TimeRange(Strict):
    since: Text = msgspec.field(name="from")
    to: Text


class EmbeddableConfig(Strict):
    time_range: TimeRange | None = None


class Panel(Strict):
    version: Version
    grid_data: GridData
    panel_index: Text
    panel_ref_name: Text
    embeddable_config: EmbeddableConfig


ATTRIBUTES: dict[str, type[Strict]] = {
    "index-pattern": IndexPattern,
    "search": Search,
    "visualization": Visualization,
    "dashboard": Dashboard,
}


def read(file: bytes) -> tuple[list[Json], Summary]:
    """The objects and the last line of an export; each line is an object of the form."""
    *lines, last = file.decode().splitlines()
    for line in lines:
        msgspec.json.decode(line, type=Object)
    return [json.loads(line) for line in lines], msgspec.json.decode(last, type=Summary)
