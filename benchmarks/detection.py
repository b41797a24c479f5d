"""`python -m benchmarks.detection`: the tables of docs/detection.md.

Known ways get the threshold that keeps them within the budget of false pages on the tuning streams;
the detector runs as it is configured everywhere. Reported are the test streams alone.
"""

from multiprocessing import get_context
from pathlib import Path

import click
import msgspec

from anomaly.detector import DetectorConfig
from benchmarks.detection_ablation import evidence_names, silenced
from benchmarks.detection_cost import cost_table
from benchmarks.detection_runs import Change, Heard, hear, judge_detector, threshold_for
from benchmarks.detection_streams import (
    SCENES,
    TEST_SEEDS,
    TUNING_SEEDS,
    Spec,
    Stream,
    load,
    specs,
)
from benchmarks.detection_tables import (
    ablation_table,
    kinds_table,
    scenes_table,
    spread_table,
    ways_table,
)
from benchmarks.detection_ways import WAYS
from consumer.evaluation import Judged
from events.transaction import Transaction

MAIN, QUIET = "all kinds", "no fraud"
"""The scene that the known ways are compared on, and the one that shows who stays quiet."""

DOCUMENT = Path("docs/detection.md")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


class Size(msgspec.Struct, frozen=True):
    """How many seeds a run takes, and how many shops."""

    tuning: int
    test: int
    scenes: int
    ablation: int
    shops: int | None = None


SIZES = {
    "quick": Size(tuning=1, test=2, scenes=1, ablation=1, shops=16),
    "full": Size(tuning=len(TUNING_SEEDS), test=len(TEST_SEEDS), scenes=6, ablation=3),
}


class Work(msgspec.Struct, frozen=True):
    """What one process is to do with one stream."""

    spec: Spec
    ways: bool
    detector: bool
    fields: bool = False
    evidence: tuple[str, ...] = ()


class Done(msgspec.Struct):
    """What it gave."""

    heard: dict[str, Heard]
    judged: Judged | None
    ablated: dict[str, Judged]
    fields: dict[str, Judged]


def _without(*fields: str) -> Change:
    nothing = dict.fromkeys(fields)

    def change(transaction: Transaction) -> Transaction:
        return msgspec.structs.replace(transaction, **nothing)

    return change


FIELDS: dict[str, Change] = {
    "cashiers": _without("cashier_id"),
    "cards and customers": _without("card_token", "customer_id"),
    "receipts": _without("original_transaction_id"),
    "the limit": _without("approval_limit"),
    "lines": lambda transaction: msgspec.structs.replace(transaction, lines=()),
}
"""What a source may not have: the detector sees each transaction without it."""


def _judge_without(stream: Stream, name: str) -> Judged:
    with silenced(name):
        return judge_detector(stream, DetectorConfig())


def do(work: Work) -> Done:
    """One stream through everything that `work` names, in this process."""
    stream = load(work.spec)
    config = DetectorConfig()
    return Done(
        heard={name: hear(stream, make) for name, make in WAYS.items()} if work.ways else {},
        judged=judge_detector(stream, config) if work.detector else None,
        ablated={name: _judge_without(stream, name) for name in work.evidence},
        fields={name: judge_detector(stream, config, change) for name, change in FIELDS.items()}
        if work.fields
        else {},
    )


class Measured(msgspec.Struct):
    """Everything the tables are made of; of the known ways by name, of scenes by name."""

    thresholds: dict[str, float]
    ways: dict[str, list[Judged]]
    ways_quiet: dict[str, list[Judged]]
    scenes: dict[str, list[Judged]]
    ablated: dict[str, list[Judged]]
    fields: dict[str, list[Judged]]


def _sized(found: list[Spec], size: Size) -> list[Spec]:
    shops = size.shops
    if shops is None:
        return found
    return [msgspec.structs.replace(spec, shops=min(spec.shops, shops)) for spec in found]


def _works(size: Size) -> list[tuple[str, Work]]:
    """What is to be done with the test streams, by scene."""
    evidence = tuple(evidence_names())
    works = []
    for scene in SCENES:
        main = scene == MAIN
        count = size.test if main else size.scenes
        for place, spec in enumerate(_sized(specs(scene, TEST_SEEDS[:count]), size)):
            ablate = main and place < size.ablation
            work = Work(
                spec,
                ways=scene in {MAIN, QUIET},
                detector=True,
                fields=ablate,
                evidence=evidence if ablate else (),
            )
            works.append((scene, work))
    return works


def run(size: Size, processes: int) -> Measured:
    """Tune the known ways, then run everything on the test streams."""
    tuning = [
        Work(spec, ways=True, detector=False)
        for spec in _sized(specs(MAIN, TUNING_SEEDS[: size.tuning]), size)
    ]
    works = _works(size)
    with get_context("spawn").Pool(processes, maxtasksperchild=4) as pool:
        tuned = pool.map(do, tuning, chunksize=1)
        results = pool.map(do, [work for _, work in works], chunksize=1)
    thresholds = {name: threshold_for([done.heard[name] for done in tuned]) for name in WAYS}
    measured = Measured(thresholds, {}, {}, {}, {}, {})
    for (scene, _), done in zip(works, results, strict=True):
        _add(measured, scene, done)
    return measured


def _add(measured: Measured, scene: str, done: Done) -> None:
    if done.judged is not None:
        measured.scenes.setdefault(scene, []).append(done.judged)
    into = measured.ways if scene == MAIN else measured.ways_quiet
    for name, heard in done.heard.items():
        into.setdefault(name, []).append(heard.judged(measured.thresholds[name]))
    for table, taken in ((measured.ablated, done.ablated), (measured.fields, done.fields)):
        if taken and done.judged is not None:
            table.setdefault("everything", []).append(done.judged)
        for name, judged in taken.items():
            table.setdefault(f"without {name}", []).append(judged)


def tables(measured: Measured) -> str:
    """The measured part of docs/detection.md."""
    ours = measured.scenes[MAIN]
    return "\n\n".join(
        [
            ways_table(ours, measured.scenes[QUIET], measured.ways, measured.ways_quiet),
            kinds_table(ours, measured.ways),
            spread_table(ours),
            scenes_table(measured.scenes),
            ablation_table("One evidence silenced at a time", measured.ablated),
            ablation_table("One field taken away at a time", measured.fields),
        ]
    )


@click.command()
@click.option("--size", type=click.Choice(list(SIZES)), default="full", show_default=True)
@click.option("--processes", default=2, show_default=True)
@click.option("--cost/--no-cost", default=True, help="Time the detector and the known ways.")
@click.option("--write", is_flag=True, help=f"Put the tables into {DOCUMENT}.")
def main(size: str, processes: int, *, cost: bool, write: bool) -> None:
    """Measure detection, and print the tables of docs/detection.md."""
    text = tables(run(SIZES[size], processes))
    if cost:
        text += "\n\n" + cost_table()
    print(text)
    if write:
        put_between(DOCUMENT, text)


def put_between(path: Path, text: str) -> None:
    """Replace what stands between the marks of `path`.

    Raises:
        ValueError: it has no such marks.
    """
    whole = path.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no {BEGIN} … {END}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
