"""`python -m benchmarks.stranger`: the detector on streams of another hand.

They were written without the detector and without the sample stream. Nothing may be tuned on them:
they say what the detector and the sample stream have in common and should not have.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path

import click
import msgspec

from anomaly.detector import DetectorConfig
from benchmarks.detection import put_between
from benchmarks.detection_runs import detect, facts_of
from benchmarks.detection_tables import scenes_table
from benchmarks.stranger_causes import CAUSES, FalsePage, false_pages
from benchmarks.stranger_chain import Draw
from benchmarks.stranger_frauds import KINDS
from benchmarks.stranger_streams import FIRST_SEED, FRAUD, SCENES, draws, load
from consumer.evaluation import Judged, judge, measure

DOCUMENT = Path("docs/detection.md")
BEGIN, END = "<!-- another hand: begin -->", "<!-- another hand: end -->"


class Done(msgspec.Struct):
    """One stream's pages, held against its labels and against what was behind them."""

    judged: Judged
    false: list[FalsePage]


def do(draw: Draw) -> Done:
    """The detector as it is configured everywhere, on one stream.

    Raises:
        ValueError: a record is no transaction: the stream is broken, and its figures say nothing.
    """
    strange = load(draw)
    if strange.rejected:
        raise ValueError(f"{strange.rejected} records of {draw} are no transactions")
    stream = strange.stream
    facts = [facts_of(page) for page in detect(stream, DetectorConfig())]
    return Done(judge(facts, stream.labels, stream.arrivals), false_pages(strange, facts))


def run(first: int, seeds: int, processes: int) -> dict[str, list[Done]]:
    """Every scene: `seeds` streams of the first one, and of each other a quarter as many."""
    works = [
        (scene, draw)
        for scene in SCENES
        for draw in draws(scene, first, seeds if scene == FRAUD else max(1, seeds // 4))
    ]
    with get_context("spawn").Pool(processes, maxtasksperchild=4) as pool:
        results = pool.map(do, [draw for _, draw in works], chunksize=1)
    found: dict[str, list[Done]] = {}
    for (scene, _), done in zip(works, results, strict=True):
        found.setdefault(scene, []).append(done)
    return found


def tables(found: Mapping[str, Sequence[Done]]) -> str:
    """The measured part of "Another hand's streams" in docs/detection.md."""
    judged = {scene: [one.judged for one in done] for scene, done in found.items()}
    _, _, scenes = scenes_table(judged).partition("\n\n")
    return "\n\n".join(
        [
            "**Scene by scene**\n\n" + scenes,
            "**Recall by kind** (found of all)\n\n" + kinds_table(judged),
            "**False pages by what was behind them**\n\n" + causes_table(found),
        ]
    )


def kinds_table(judged: Mapping[str, Sequence[Judged]]) -> str:
    """Campaigns found of all, by kind, a column for every scene that has thieves."""
    scenes = [scene for scene, streams in judged.items() if measure(streams).campaigns]
    rows = []
    for kind in KINDS:
        cells = []
        for scene in scenes:
            campaigns = [one for stream in judged[scene] for one in stream.campaigns]
            of_kind = [one.found for one in campaigns if one.kind == kind]
            cells.append(f"{sum(of_kind)} of {len(of_kind)}")
        rows.append([f"`{kind}`", *cells])
    return _table(["kind", *scenes], rows)


def causes_table(found: Mapping[str, Sequence[Done]]) -> str:
    """False pages by cause, a column for every scene, and the reasons that the pages give."""
    pages = {scene: [page for one in done for page in one.false] for scene, done in found.items()}
    rows = []
    for cause, words in CAUSES.items():
        counts = [sum(page.cause == cause for page in pages[scene]) for scene in pages]
        reasons = Counter(
            page.reason for of_scene in pages.values() for page in of_scene if page.cause == cause
        )
        said = ", ".join(f"`{reason}` {count}" for reason, count in reasons.most_common())
        rows.append([words, *map(str, counts), said or "–"])
    return _table(["behind them", *pages, "said"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


@click.command()
@click.option("--seeds", default=8, show_default=True, help="Streams with all kinds of fraud.")
@click.option("--first", default=FIRST_SEED, show_default=True, help="The first of the seeds.")
@click.option("--processes", default=2, show_default=True)
@click.option("--write", is_flag=True, help=f"Put the tables into {DOCUMENT}.")
def main(*, seeds: int, first: int, processes: int, write: bool) -> None:
    """Measure the detector on streams of another hand, a quarter as many of every other scene."""
    text = tables(run(first, seeds, processes))
    print(text)
    if write:
        put_between(DOCUMENT, text, BEGIN, END)


if __name__ == "__main__":
    main()
