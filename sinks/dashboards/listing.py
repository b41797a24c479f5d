"""A list of documents, newest first or gravest first: a saved search. Pure."""

from collections.abc import Sequence

from sinks.dashboards.saved_object import PREFIX, SavedObject, search_source


def listing(
    id_: str,
    title: str,
    pattern: SavedObject,
    columns: Sequence[str],
    *,
    query: str = "",
    sort: Sequence[tuple[str, str]],
) -> SavedObject:
    """The fields `columns` of the documents that `query` finds, in the order of `sort`."""
    meta, reference = search_source(pattern, query, highlightAll=True, version=True)
    attributes = {
        "title": title,
        "description": "",
        "columns": list(columns),
        "hits": 0,
        "kibanaSavedObjectMeta": meta,
        "sort": [list(by) for by in sort],
        "version": 1,
    }
    return SavedObject(f"{PREFIX}{id_}", "search", attributes, (reference,))
