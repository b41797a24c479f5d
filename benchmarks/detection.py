"""`python -m benchmarks.detection`: the tables of docs/detection.md.

Known ways get the threshold that keeps them within the budget of false pages on the tuning streams;
the detector runs as it is configured everywhere. Reported are the test streams alone.
"""

from multiprocessing import get_context
from pathlib import Path

import click
import msgspec

from anomaly.detector import DetectorConfig
from benchmarks.detection_cost import cost_table
from benchmarks.detection_runs import Change, Heard, hear, judge_detector, threshold_for
from benchmarks.detection_streams import SCENES, TEST_SEEDS, TUNING_SEEDS, Spec, load, specs
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
    "full": Size(tuning=len(TUNING_SEEDS), test=len(TEST_SEEDS), scenes=6, ablation=4),
}


class Work(msgspec.Struct, frozen=True):
    """What one process is to do with one stream."""

    spec: Spec
    ways: bool
    detector: bool
    ablation: bool


class Done(msgspec.Struct):
    """What it gave."""

    heard: dict[str, Heard]
    judged: Judged | None
    ablated: dict[str, Judged]


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


def do(work: Work) -> Done:
    """One stream through everything that `work` names, in this process."""
    stream = load(work.spec)
    config = DetectorConfig()
    return Done(
        heard={name: hear(stream, make) for name, make in WAYS.items()} if work.ways else {},
        judged=judge_detector(stream, config) if work.detector else None,
        ablated={
            f"without {name}": judge_detector(stream, config, change)
            for name, change in FIELDS.items()
        }
        if work.ablation
        else {},
    )


class Measured(msgspec.Struct):
    """Everything the tables are made of; of the known ways by name, of scenes by name."""

    thresholds: dict[str, float]
    ways: dict[str, list[Judged]]
    ways_quiet: dict[str, list[Judged]]
    scenes: dict[str, list[Judged]]
    ablated: dict[str, list[Judged]]


def run(size: Size, processes: int) -> Measured:
    """Tune the known ways, then run everything on the test streams."""

    def sized(found: list[Spec]) -> list[Spec]:
        if size.shops is None:
            return found
        return [msgspec.structs.replace(spec, shops=min(spec.shops, size.shops)) for spec in found]

    with get_context("spawn").Pool(processes, maxtasksperchild=4) as pool:
        tuned = pool.map(
            do,
            [
                Work(spec, ways=True, detector=False, ablation=False)
                for spec in sized(specs("all kinds", TUNING_SEEDS[: size.tuning]))
            ],
            chunksize=1,
        )
        thresholds = {name: threshold_for([done.heard[name] for done in tuned]) for name in WAYS}
        named = []
        for scene in SCENES:
            count = size.test if scene == "all kinds" else size.scenes
            for place, spec in enumerate(sized(specs(scene, TEST_SEEDS[:count]))):
                work = Work(
                    spec,
                    ways=scene in {"all kinds", "no fraud"},
                    detector=True,
                    ablation=scene == "all kinds" and place < size.ablation,
                )
                named.append((scene, work))
        results = pool.map(do, [work for _, work in named], chunksize=1)
    measured = Measured(thresholds, {}, {}, {}, {})
    for (scene, work), done in zip(named, results, strict=True):
        if done.judged is not None:
            measured.scenes.setdefault(scene, []).append(done.judged)
        into = measured.ways if scene == "all kinds" else measured.ways_quiet
        for name, heard in done.heard.items():
            into.setdefault(name, []).append(heard.judged(thresholds[name]))
        if work.ablation and done.judged is not None:
            measured.ablated.setdefault("everything", []).append(done.judged)
        for name, judged in done.ablated.items():
            measured.ablated.setdefault(name, []).append(judged)
    return measured


def tables(measured: Measured) -> str:
    """The measured part of docs/detection.md."""
    ours = measured.scenes["all kinds"]
    return "\n\n".join(
        [
            ways_table(ours, measured.scenes["no fraud"], measured.ways, measured.ways_quiet),
            kinds_table(ours, measured.ways),
            spread_table(ours),
            scenes_table(measured.scenes),
            ablation_table(measured.ablated),
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
