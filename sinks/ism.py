"""The policies by which OpenSearch itself deletes old indices (Index State Management). Pure.

Format: docs.opensearch.org, "Policies" and "ISM API". An index's age counts from its creation,
which is on the day it holds or the day before (a till whose clock is ahead), so a day is added:
nothing goes before its time.
"""

from typing import Any

from sinks.index_names import DAILY, MONTHLY
from sinks.templates import PRIORITY

Json = dict[str, Any]

DAYS = "tillwatch-days"
MONTHS = "tillwatch-months"
_MONTH_DAYS = 31


def policies(retention_days: int) -> dict[str, Json]:
    """The policies by their ids."""
    return {
        DAYS: _policy(f"Indices of a day, {retention_days} days.", retention_days + 1, DAILY),
        MONTHS: _policy(
            f"Indices of a month, {retention_days} days after its end.",
            retention_days + _MONTH_DAYS + 1,
            MONTHLY,
        ),
    }


def policy_of(index: str) -> str:
    """The id of the policy for `index`, whose name sinks.index_names knows."""
    return MONTHS if index.split("-", 1)[0] in MONTHLY else DAYS


def _policy(description: str, days: int, kinds: tuple[str, ...]) -> Json:
    gone = {"state_name": "delete", "conditions": {"min_index_age": f"{days}d"}}
    patterns = [f"{kind}-*" for kind in kinds]
    return {
        "description": description,
        "default_state": "hot",
        "states": [
            {"name": "hot", "actions": [], "transitions": [gone]},
            {"name": "delete", "actions": [{"delete": {}}], "transitions": []},
        ],
        "ism_template": [{"index_patterns": patterns, "priority": PRIORITY}],
    }
