"""What a chart counts and splits by, in the words of Dashboards' `visState`. Pure.

A metric is a number of each bucket; a bucket splits documents. `schema` says where a chart puts it:
metric, segment (along the axis, or slices), group (series), bucket (rows of a table).
"""

import msgspec

from sinks.dashboards.saved_object import Json


class Aggregation(msgspec.Struct, frozen=True):
    """One of them, without its id, which is its place in the chart, from 1."""

    type: str
    schema: str
    params: Json

    def state(self, place: int) -> Json:
        """It as `visState` holds it."""
        return {
            "id": str(place),
            "enabled": True,
            "type": self.type,
            "schema": self.schema,
            "params": self.params,
        }

    @property
    def label(self) -> str:
        """What a person reads beside it."""
        return str(self.params.get("customLabel", self.type))


def count(label: str) -> Aggregation:
    """How many documents."""
    return Aggregation("count", "metric", {"customLabel": label})


def average(field: str, label: str) -> Aggregation:
    """The mean of a number."""
    return Aggregation("avg", "metric", {"field": field, "customLabel": label})


def total(field: str, label: str) -> Aggregation:
    """The sum of a number."""
    return Aggregation("sum", "metric", {"field": field, "customLabel": label})


def highest(field: str, label: str) -> Aggregation:
    """The largest of a number or time."""
    return Aggregation("max", "metric", {"field": field, "customLabel": label})


def percentiles(field: str, percents: tuple[float, ...], label: str) -> Aggregation:
    """What so many per cent of the documents stay below."""
    params = {"field": field, "percents": list(percents), "customLabel": label}
    return Aggregation("percentiles", "metric", params)


def latest(field: str, by: str, label: str) -> Aggregation:
    """The value in the document that is last by the time `by`."""
    params = {
        "field": field,
        "aggregate": "concat",
        "size": 1,
        "sortField": by,
        "sortOrder": "desc",
        "customLabel": label,
    }
    return Aggregation("top_hits", "metric", params)


def by_time(field: str, interval: str, label: str, *, per_interval: bool = False) -> Aggregation:
    """Along time, in steps of `interval` ("m", "h"; "auto" lets Dashboards choose).

    Where the time shown is long Dashboards takes longer steps; `per_interval` then divides, so that
    what is called "per minute" stays per minute.
    """
    params = {
        "field": field,
        "interval": interval,
        "useNormalizedOpenSearchInterval": True,
        "scaleMetricValues": per_interval,
        "drop_partials": False,
        "min_doc_count": 1,
        "extended_bounds": {},
        "customLabel": label,
    }
    return Aggregation("date_histogram", "segment", params)


def by_value(
    field: str,
    label: str,
    *,
    size: int,
    schema: str = "bucket",
    order_by: str = "1",
    order: str = "desc",
) -> Aggregation:
    """The `size` values that come first by the metric of that id; "_key" is by the value itself."""
    params = {
        "field": field,
        "orderBy": order_by,
        "order": order,
        "size": size,
        "otherBucket": False,
        "otherBucketLabel": "Other",
        "missingBucket": False,
        "missingBucketLabel": "Missing",
        "customLabel": label,
    }
    return Aggregation("terms", schema, params)


def by_query(queries: dict[str, str], *, schema: str = "group") -> Aggregation:
    """One bucket for each query, in Lucene's syntax, under its label."""
    filters = [
        {"input": {"language": "lucene", "query": query}, "label": label}
        for label, query in queries.items()
    ]
    return Aggregation("filters", schema, {"filters": filters})
