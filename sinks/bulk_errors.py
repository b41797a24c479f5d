"""Whose fault it is that OpenSearch did not take an item, and what a person can do. Pure.

A record is put aside only for what is wrong with the record. What is wrong with an index, with the
cluster or with a right is waited out, however long, and says what to mend: thousands of good
records in the dead-letter queue would be the worse trouble.
"""

import re
from enum import Enum


class Fault(Enum):
    """What an error of one item is about."""

    RECORD = "record"
    """The document, as far as the error tells: sinks/index_check.py sees that its index is ours."""
    PLACE = "place"
    """The index, the cluster, a right: a person mends it."""
    PASSES = "passes"
    """Too much to do, a shard that moves, a node that is not there: it passes by itself."""


_BUSY = 429
_SERVER_ERROR = 500
_PLACE_STATUSES = frozenset({401, 403, 404})
_PLACE_TYPES = frozenset(
    {
        "alias_action_exception",
        "cluster_block_exception",
        "index_closed_exception",
        "index_create_block_exception",
        "index_not_found_exception",
        "invalid_index_name_exception",
        "invalid_index_template_exception",
        "routing_missing_exception",
        "security_exception",
    }
)

# From the first opening quote to the last closing one: values may have quotes in them. The quote in
# `field's` opens nothing, nor does the one in `field="lines.item_id"`.
QUOTED = re.compile(r"""(?<![\w=])(['"]).*(?:\1|$)""", re.DOTALL)
"""What OpenSearch quotes of a document: no word of its own."""

APPLY = "tillwatch opensearch apply"

# What OpenSearch says in a reason, and what to do. The first that is found tells; a reason that
# stands here is never a record's fault.
_PLACE_REASONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"maximum .*shards open"),
        (
            "the cluster has no room for another index: delete old ones (tillwatch retention), add "
            "nodes, or raise cluster.max_shards_per_node"
        ),
    ),
    (
        re.compile(r"no write index is defined for alias|has more than one ind"),
        "an alias has the name of an index of ours: remove the alias",
    ),
    (
        re.compile(r"allowed in data streams"),
        "a data stream has the name of an index of ours: delete it, and the template that makes it",
    ),
    (
        re.compile(r"Limit of (total fields|mapping depth|nested)"),
        (
            "the index guesses its mapping, and is full of fields: the index templates are missing "
            f"({APPLY}); reindex it"
        ),
    ),
    (
        re.compile(r"cannot be changed from type|can't merge a non object mapping"),
        f"the index guesses its mapping: the index templates are missing ({APPLY}); reindex it",
    ),
    (
        re.compile(r"[Pp]ipeline with id|no ingest nodes"),
        "the index has an ingest pipeline that cannot run; ours have none: remove the setting",
    ),
)

_TYPE_ADVICE = {
    "index_not_found_exception": "the cluster makes no index by itself: allow it for "
    "transactions-*, pages-*, rejections-*, verdicts, suppressions, operations* "
    "(action.auto_create_index)",
    "index_closed_exception": "the index is closed: open it, and it goes on",
    "routing_missing_exception": "the index wants a routing value, ours do not: its template is "
    f"not ours ({APPLY}); reindex it",
    "security_exception": "who writes may not: grant indices:data/write/* and "
    "indices:admin/create on our indices",
    "unavailable_shards_exception": "the index is red: a node that held its shard is away, or "
    "there is no node that may hold it (GET _cluster/allocation/explain)",
    "circuit_breaking_exception": "a node is short of memory: it is tried again; if it stays, give "
    "the nodes more heap, or search less at a time",
    "process_cluster_event_timeout_exception": "the cluster manager is behind: too many indices "
    "or shards at a time",
}
_BLOCK_ADVICE: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"flood-stage|read-only-allow-delete|read-only / allow delete"),
        (
            "the disk of a node is full: delete old indices (tillwatch retention) or add space; "
            "OpenSearch lifts the block by itself then"
        ),
    ),
    (
        re.compile(r"create-index|create index"),
        (
            "the cluster makes no new index (cluster.blocks.create_index; on AWS: storage "
            "or memory is short): make room, and lift the block"
        ),
    ),
    (
        re.compile(r"read-only|index write|write \(api\)"),
        (
            "somebody has made it read-only: set index.blocks.write, index.blocks.read_only, "
            "cluster.blocks.read_only to null"
        ),
    ),
    (re.compile(r"no (master|cluster.manager)"), "the cluster has no manager: bring nodes back"),
)


def fault(status: int, kind: str, reason: str) -> Fault:
    """What the error of one item is about; `kind` and `reason` are OpenSearch's own words."""
    if status == _BUSY or status >= _SERVER_ERROR:
        return Fault.PASSES
    if status in _PLACE_STATUSES or kind in _PLACE_TYPES:
        return Fault.PLACE
    said = QUOTED.sub("", reason)
    if any(pattern.search(said) for pattern, _ in _PLACE_REASONS):
        return Fault.PLACE
    return Fault.RECORD


def advice(kind: str, reason: str) -> str:
    """What a person can do about it; empty where it passes by itself or nothing is known."""
    blocked = kind.endswith("block_exception")
    said = QUOTED.sub("", reason)
    for pattern, words in _BLOCK_ADVICE if blocked else _PLACE_REASONS:
        if pattern.search(said):
            return words
    return _TYPE_ADVICE.get(kind, "")
