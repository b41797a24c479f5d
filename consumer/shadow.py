"""A candidate beside the live detector: which pages it would have gained, and which lost. Pure."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import msgspec

from anomaly.detector import DetectorConfig
from consumer.candidate import ConfigError, candidate
from consumer.told import Told


class Comparison(msgspec.Struct, frozen=True):
    """`kept` are pages of both, as the candidate tells them; the rest are of one alone."""

    kept: tuple[Told, ...]
    gained: tuple[Told, ...]
    lost: tuple[Told, ...]


def compare(live: Sequence[Told], candidate: Sequence[Told]) -> Comparison:
    """Hold the pages of a candidate against those of the live detector over the same stream.

    Two pages are one and the same when they are of one shop and share a refund of their evidence,
    whatever they call it.
    """
    of_live, of_candidate = _refunds(live), _refunds(candidate)
    return Comparison(
        kept=tuple(page for page in candidate if _touches(page, of_live)),
        gained=tuple(page for page in candidate if not _touches(page, of_live)),
        lost=tuple(page for page in live if not _touches(page, of_candidate)),
    )


def by_shop_and_reason(pages: Iterable[Told]) -> dict[tuple[str, str], list[Told]]:
    """`pages` by (shop, reason), in that order."""
    found: dict[tuple[str, str], list[Told]] = {}
    for page in pages:
        found.setdefault((page.shop_id, page.reason), []).append(page)
    return dict(sorted(found.items()))


def read_config(path: Path, live: DetectorConfig) -> DetectorConfig:
    """The candidate's configuration: a JSON object of what differs from `live`.

    Raises:
        click.ClickException: it is none, or names a field that the detector does not have.
    """
    try:
        return candidate(path, live)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def _refunds(pages: Iterable[Told]) -> set[tuple[str, str]]:
    return {(page.shop_id, one) for page in pages for one in page.evidence}


def _touches(page: Told, refunds: set[tuple[str, str]]) -> bool:
    return any((page.shop_id, one) in refunds for one in page.evidence)
