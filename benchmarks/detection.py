"""`python -m benchmarks.detection`: the tables of docs/detection.md.

Known ways get the threshold that keeps them within the budget of false pages on the tuning streams;
the detector runs as it is configured everywhere. Reported are the test streams alone.
"""

from multiprocessing import get_context
from pathlib import Path

import click
import msgspec

from anomaly.detector import DetectorConfig
from anomaly.hypotheses import EVIDENCE
from benchmarks.detection_cost import cost_table
from benchmarks.detection_runs import Change, Heard, hear, judge_detector, threshold_for
from benchmarks.detection_streams import (
    SCENES,
    TEST_SEEDS,
    TUNING_SEEDS,
    Spec,
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

MAIN, HARD, QUIET = "all kinds, protocol strength", "all kinds", "no fraud"
"""The scenes that the known ways are compared on, and the one that shows who stays quiet."""

ABLATED = (
    MAIN,
    HARD,
    "one receipt, customer or closed shop",
    "receipts that do not fit",
    "without the optional fields",
)
"""Where evidence is left out: each kind of it has something to find in one of them."""

DOCUMENT = Path("docs/detection.md")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


class Size(msgspec.Struct, frozen=True):
    """How many seeds a run takes, and how many shops.

    `test` are the streams of either strength that the detector is held against, `known` those of
    them that the known ways are run on.
    """

    tuning: int
    test: int
    known: int
    scenes: int
    ablation: int
    shops: int | None = None


SIZES = {
    "quick": Size(tuning=1, test=2, known=2, scenes=1, ablation=1, shops=16),
    "medium": Size(tuning=2, test=len(TEST_SEEDS), known=4, scenes=2, ablation=1, shops=20),
    "full": Size(
        tuning=len(TUNING_SEEDS),
        test=len(TEST_SEEDS),
        known=len(TEST_SEEDS),
        scenes=5,
        ablation=2,
    ),
}


class Work(msgspec.Struct, frozen=True):
    """What one process is to do with one stream."""

    spec: Spec
    ways: bool
    detector: bool
    ablation: bool = False


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


def do(work: Work) -> Done:
    """One stream through everything that `work` names, in this process."""
    stream = load(work.spec)
    config = DetectorConfig()
    return Done(
        heard={name: hear(stream, make) for name, make in WAYS.items()} if work.ways else {},
        judged=judge_detector(stream, config) if work.detector else None,
        ablated={name: judge_detector(stream, DetectorConfig(without=(name,))) for name in EVIDENCE}
        if work.ablation
        else {},
        fields={name: judge_detector(stream, config, change) for name, change in FIELDS.items()}
        if work.ablation
        else {},
    )


class Known(msgspec.Struct):
    """What the known ways gave, which no change of the detector changes; by name."""

    ways: dict[str, dict[str, list[Judged]]]
    """By scene."""
    ways_quiet: dict[str, list[Judged]]
    """At the thresholds of MAIN."""


class Measured(msgspec.Struct):
    """What the detector gave: by scene, and with one thing taken away at a time."""

    scenes: dict[str, list[Judged]]
    ablated: dict[str, list[Judged]]
    fields: dict[str, list[Judged]]


def _sized(found: list[Spec], size: Size) -> list[Spec]:
    shops = size.shops
    if shops is None:
        return found
    return [msgspec.structs.replace(spec, shops=min(spec.shops, shops)) for spec in found]


def run_known(size: Size, processes: int) -> Known:
    """Set the known ways' thresholds on the tuning streams, and run them on the test streams."""

    def hear_all(scene: str, seeds: tuple[int, ...]) -> list[Done]:
        found = _sized(specs(scene, seeds), size)
        return pool.map(do, [Work(spec, ways=True, detector=False) for spec in found], chunksize=1)

    def judged(all_done: list[Done], thresholds: dict[str, float]) -> dict[str, list[Judged]]:
        return {
            name: [done.heard[name].judged(threshold) for done in all_done]
            for name, threshold in thresholds.items()
        }

    known = Known({}, {})
    with get_context("spawn").Pool(processes, maxtasksperchild=4) as pool:
        for scene in (HARD, MAIN):
            tuned = hear_all(scene, TUNING_SEEDS[: size.tuning])
            thresholds = {
                name: threshold_for([done.heard[name] for done in tuned]) for name in WAYS
            }
            known.ways[scene] = judged(hear_all(scene, TEST_SEEDS[: size.known]), thresholds)
        quiet = hear_all(QUIET, TEST_SEEDS[: size.scenes])
        known.ways_quiet = judged(quiet, thresholds)
    return known


def run(size: Size, processes: int) -> Measured:
    """Run the detector on the test streams of every scene, and on some of them without parts."""
    works = []
    for scene in SCENES:
        count = size.test if scene in {MAIN, HARD} else size.scenes
        for place, spec in enumerate(_sized(specs(scene, TEST_SEEDS[:count]), size)):
            ablate = scene in ABLATED and place < size.ablation
            works.append((scene, Work(spec, ways=False, detector=True, ablation=ablate)))
    with get_context("spawn").Pool(processes, maxtasksperchild=4) as pool:
        results = pool.map(do, [work for _, work in works], chunksize=1)
    measured = Measured({}, {}, {})
    for (scene, _), done in zip(works, results, strict=True):
        if done.judged is None:
            continue
        measured.scenes.setdefault(scene, []).append(done.judged)
        for table, taken in ((measured.ablated, done.ablated), (measured.fields, done.fields)):
            if taken:
                table.setdefault("everything", []).append(done.judged)
            for name, judged in taken.items():
                table.setdefault(f"without {name}", []).append(judged)
    return measured


def tables(known: Known, measured: Measured) -> str:
    """The measured part of docs/detection.md."""
    quiet = measured.scenes[QUIET]
    compared = [
        table
        for scene in (MAIN, HARD)
        for table in (
            f"### {scene[0].upper()}{scene[1:]}",
            ways_table(
                measured.scenes[scene],
                quiet,
                known.ways[scene],
                known.ways_quiet if scene == MAIN else {},
            ),
            kinds_table(measured.scenes[scene], known.ways[scene]),
            spread_table(measured.scenes[scene]),
        )
    ]
    return "\n\n".join(
        [
            *compared,
            "### Other streams, and with less",
            scenes_table(measured.scenes),
            ablation_table("One evidence left out at a time", measured.ablated),
            ablation_table("One field taken away at a time", measured.fields),
        ]
    )


@click.command()
@click.option("--size", type=click.Choice(list(SIZES)), default="medium", show_default=True)
@click.option("--processes", default=2, show_default=True)
@click.option(
    "--known",
    "known_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the known ways' results are kept for the next run, of the same size.",
)
@click.option("--known-only", is_flag=True, help="Fill that file, and leave the detector alone.")
@click.option("--cost/--no-cost", default=True, help="Time the detector and the known ways.")
@click.option("--write", is_flag=True, help=f"Put the tables into {DOCUMENT}.")
def main(
    *, size: str, processes: int, known_path: Path | None, known_only: bool, cost: bool, write: bool
) -> None:
    """Measure detection, and print the tables of docs/detection.md."""
    if known_path is not None and known_path.exists():
        known = msgspec.json.decode(known_path.read_bytes(), type=Known)
    else:
        known = run_known(SIZES[size], processes)
        if known_path is not None:
            known_path.write_bytes(msgspec.json.encode(known))
    if known_only:
        return
    text = tables(known, run(SIZES[size], processes))
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
