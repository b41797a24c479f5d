"""What makes a shadow's report worth less: holes, failures, several configurations. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from consumer.masking import shown
from events.instant import Instant, to_iso
from sinks.shadow_notes import Failure, Hole, Noted

DETAIL_CHARACTERS_MAX = 300
"""Characters of what an error said that are told."""


def of_holes(holes: Iterable[Hole]) -> list[str]:
    """A sentence for each."""
    return [
        f"A HOLE: of {hole.shard_id} it is not known that the shadow saw what came behind "
        f"{hole.after} ({_at(hole.begin)}) and before {hole.first} ({_at(hole.end)}). The pages "
        "are compared from behind it; do not promote on what lies before."
        for hole in holes
    ]


def of_failures(noted: Noted) -> list[str]:
    """How many transactions the candidate could not score."""
    if not noted.failed:
        return []
    some = "1 transaction" if noted.failed == 1 else f"{noted.failed:,} transactions"
    return [f"The candidate failed at {some}: a live worker would have made dead letters of them."]


def of_configurations(current: Sequence[str], pages: Counter[str], noted: Noted) -> list[str]:
    """Which configuration the report is of, and what there is of others.

    `current` are the model versions that the shadow's shards stand with, `pages` how many of its
    pages there are by theirs, whenever they were opened.
    """
    named = sorted(current) or sorted(noted.configs)
    lines = [f"The shadow runs as {' and '.join(named)}."] if named else []
    others = sorted((noted.configs.keys() | pages.keys()) - set(named))
    if others or len(named) > 1:
        counts = ", ".join(f"{pages[one]} of {one}" for one in (*named, *others))
        lines.append(
            "DO NOT PROMOTE ON THIS: the shadow ran with several configurations, and its pages are "
            f"a mixture ({counts}). Begin anew under another name."
        )
    return lines


def failure_row(failure: Failure) -> tuple[str, ...]:
    """Position, shop, reason and detail, as they may be shown."""
    return (
        f"{failure.shard_id}/{failure.position}",
        "-" if failure.shop_id is None else shown(failure.shop_id),
        shown(failure.reason),
        shown(failure.detail, characters_max=DETAIL_CHARACTERS_MAX),
    )


def hole_line(hole: Hole) -> dict[str, str | None]:
    """`hole` for machines."""
    return {
        "shard_id": hole.shard_id,
        "after": hole.after,
        "first": hole.first,
        "from": None if hole.begin is None else to_iso(hole.begin),
        "to": None if hole.end is None else to_iso(hole.end),
    }


def failure_line(failure: Failure) -> dict[str, str | None]:
    """`failure` for machines."""
    _, shop, reason, detail = failure_row(failure)
    return {
        "shard_id": failure.shard_id,
        "position": failure.position,
        "shop_id": None if failure.shop_id is None else shop,
        "reason": reason,
        "detail": detail,
        "model_version": failure.model_version,
        "arrived_at": None if failure.arrived_at is None else to_iso(failure.arrived_at),
    }


def _at(time: Instant | None) -> str:
    return "no time known" if time is None else f"{to_iso(time)[:19].replace('T', ' ')}"
