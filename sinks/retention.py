"""Which indices have had their time, and their deletion where OpenSearch does not do it itself."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from sinks.index_names import DAILY, MONTHLY, last_day
from sinks.opensearch_client import Refusal, ask

SHARE_MAX = 0.5
"""Part of the indices that may go at a time; a clock that runs ahead would take them all."""

CLOCKS_APART_SECONDS_MAX = 3_600

_NOT_FOUND = 404


class NotDeleted(Exception):  # noqa: N818 -- nothing broke: it was not safe
    """Deleting was refused by this program, and nothing was deleted; the message says why."""


class Due(msgspec.Struct, frozen=True):
    """What is to go, oldest first, of the indices that hold a day or a month."""

    indices: tuple[str, ...]
    known: int
    """How many there are in all."""

    @property
    def share(self) -> float:
        """The part of them that goes."""
        return len(self.indices) / self.known if self.known else 0.0


def due(names: Iterable[str], today: date, days: int) -> Due:
    """What of `names` lies more than `days` days back; names that are not ours do not count."""
    known = sorted((day, name) for name in names if (day := last_day(name)) is not None)
    oldest = today - timedelta(days=days)
    return Due(tuple(name for day, name in known if day < oldest), len(known))


def names(client: Any) -> list[str]:
    """The names of all indices whose names begin as ours do.

    Raises:
        Transient: OpenSearch does not answer.
        Refusal: it refuses.
    """
    wanted = ",".join(f"{kind}-*" for kind in (*DAILY, *MONTHLY))
    path = f"/{wanted}"
    asked = {
        "filter_path": "*.settings.index.provided_name",
        "expand_wildcards": "all",
        "ignore_unavailable": "true",
        "allow_no_indices": "true",
    }
    return sorted(ask(client, "GET", path, params=asked))


def check(client: Any, found: Due, now: datetime) -> None:
    """See that it is safe to delete `found`.

    Raises:
        NotDeleted: too many would go, or the cluster has another time.
        Transient: OpenSearch does not answer.
    """
    if found.share > SHARE_MAX:
        raise NotDeleted(
            f"{len(found.indices)} of {found.known} indices would go, more than {SHARE_MAX:.0%}: "
            f"is it {now:%Y-%m-%d}, and is TILLWATCH_RETENTION_DAYS right? --force deletes them"
        )
    there = _cluster_time(client)
    if there is not None and abs((there - now).total_seconds()) > CLOCKS_APART_SECONDS_MAX:
        raise NotDeleted(
            f"here it is {now:%Y-%m-%d %H:%M} UTC, and in the cluster {there:%Y-%m-%d %H:%M}: set "
            "the clock that is wrong; --force goes by the one here"
        )


def delete(client: Any, index: str) -> bool:
    """Delete the one index of that very name; False where it was gone already.

    Raises:
        Transient: OpenSearch does not answer.
        Refusal: it refuses.
    """
    if last_day(index) is None:
        raise ValueError(f"{index} is none of our indices")
    try:
        ask(client, "DELETE", f"/{index}")
    except Refusal as error:
        if error.status == _NOT_FOUND:
            return False
        raise
    return True


def _cluster_time(client: Any) -> datetime | None:
    """What time it is in the cluster; None where that cannot be asked, as in a collection."""
    try:
        answer = ask(client, "GET", "/_cluster/stats", params={"filter_path": "timestamp"})
    except Refusal:
        return None
    millis = answer.get("timestamp")
    return None if millis is None else datetime.fromtimestamp(millis / 1_000, UTC)
