"""How long S3 keeps what lies in the bucket: lifecycle rules, as they should be and as they are.

Rules that bear our prefix are ours, and follow the settings; rules of others are left as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

OURS: Final = "tillwatch-"
"""What the ids of our rules begin with."""
UNDONE_DAYS: Final = 7
"""So long a version that was deleted or overwritten can be brought back, and an upload be open."""
STREAM_DAYS_MAX: Final = 365
"""So long a stream keeps records at most: a shard that stood still may come back to its parts."""
_NONE_YET: Final = "NoSuchLifecycleConfiguration"
_TIERING: Final = "INTELLIGENT_TIERING"

Rule = dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """What would become of one rule: `before` is None for a new one, `after` for one that goes."""

    rule_id: str
    before: Rule | None
    after: Rule | None

    def line(self) -> str:
        """The change in a line."""
        if self.after is None:
            return f"- {self.rule_id}"
        if self.before is None:
            return f"+ {self.rule_id}: {_told(self.after)}"
        return f"~ {self.rule_id}: {_told(self.before)} -> {_told(self.after)}"


def rules(days: int, processed_days: int, *, tiering: bool) -> list[Rule]:
    """The rules that the bucket should have.

    Args:
        days: how long everything is kept that has no longer time of its own.
        processed_days: how long Parquet files are.
        tiering: whether S3 may move Parquet files to cheaper storage by how they are read.
    """
    made = [
        *(
            _expiring(name, f"{name}/", days)
            for name in ("archive", "history", "dead-letters", "shadow")
        ),
        # A staged part is deleted when its hours are published; one that is still there after so
        # long is of an application that is no more.
        _expiring("staging", "staging/", max(days, STREAM_DAYS_MAX)),
        *(
            _expiring(name, f"{name}/", processed_days, tiering=tiering)
            for name in ("processed", "compacted", "pages", "verdicts")
        ),
        # Every commit deletes snapshots: their versions would stay for ever. What is current is
        # not touched: that of a quiet shard is old and needed.
        _rule("snapshots", "snapshots/", {}),
        {
            "ID": f"{OURS}rest",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UNDONE_DAYS},
        },
    ]
    return sorted(made, key=lambda rule: str(rule["ID"]))


def changes(client: Any, bucket: str, wanted: Sequence[Rule]) -> list[Change]:
    """What there is to change, in order of the rules' ids."""
    there = {rule["ID"]: rule for rule in _rules(client, bucket) if _is_ours(rule)}
    asked = {str(rule["ID"]): rule for rule in wanted}
    return [
        Change(name, there.get(name), asked.get(name))
        for name in sorted({**there, **asked})
        if _plain(there.get(name)) != _plain(asked.get(name))
    ]


def apply(client: Any, bucket: str, wanted: Sequence[Rule]) -> None:
    """Put `wanted` beside the rules of others, as they are now.

    S3 takes all rules of a bucket at once: who changes others at this very moment may be undone.
    """
    others = [rule for rule in _rules(client, bucket) if not _is_ours(rule)]
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [*others, *wanted]}
    )


def _rules(client: Any, bucket: str) -> list[Rule]:
    try:
        answer = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] == _NONE_YET:
            return []
        raise
    found: list[Rule] = answer["Rules"]
    return found


def _is_ours(rule: Mapping[str, Any]) -> bool:
    return str(rule.get("ID", "")).startswith(OURS)


def _expiring(name: str, prefix: str, days: int, *, tiering: bool = False) -> Rule:
    more: Rule = {"Expiration": {"Days": days}}
    if tiering:
        more["Transitions"] = [{"Days": 0, "StorageClass": _TIERING}]
    return _rule(name, prefix, more)


def _rule(name: str, prefix: str, more: Rule) -> Rule:
    return {
        "ID": f"{OURS}{name}",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "NoncurrentVersionExpiration": {"NoncurrentDays": UNDONE_DAYS},
        **more,
    }


def _plain(rule: Rule | None) -> Rule | None:
    """A rule as it is compared: S3 says a prefix in one of two ways."""
    if rule is None:
        return None
    made = {name: value for name, value in rule.items() if name not in {"Filter", "Prefix"}}
    return made | {"Prefix": rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))}


def _told(rule: Rule) -> str:
    plain = _plain(rule) or {}
    parts = [plain["Prefix"] or "everything"]
    expiration = rule.get("Expiration", {})
    if "Days" in expiration:
        parts.append(f"deleted after {expiration['Days']} days")
    if expiration.get("ExpiredObjectDeleteMarker"):
        parts.append("markers of deleted objects go")
    parts += [f"to {step['StorageClass']} at once" for step in rule.get("Transitions", ())]
    old = rule.get("NoncurrentVersionExpiration", {})
    if old:
        parts.append(f"older versions after {old['NoncurrentDays']} days")
    if "AbortIncompleteMultipartUpload" in rule:
        parts.append("unfinished uploads go")
    if rule.get("Status") != "Enabled":
        parts.append("not enabled")
    return ", ".join(parts)
