"""`python -m benchmarks.detection`: the tables of docs/detection.md.

Known ways get the threshold that keeps them within the budget of false pages on the tuning streams;
the detector runs as it is configured everywhere. Reported are the test streams alone.
"""

from multiprocessing import get_context
from pathlib import Path

import click
import msgspec

from anomaly.detector import DetectorConfig
from anomaly.needs import EVIDENCE
from benchmarks.detection_cost import cost_table
from benchmarks.detection_known import hear_all, kept_in
from benchmarks.detection_runs import Change, Heard, judge_detector, threshold_for
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

    `test` are the streams of either strength, `quiet` those without fraud, `scenes` those of every
    other scene; evidence is left out on `ablation` of each scene of `ABLATED`.
    """

    tuning: int
    test: int
    quiet: int
    scenes: int
    ablation: int
    shops: int | None = None

    def streams(self, scene: str, seeds: tuple[int, ...]) -> list[Spec]:
        """The streams of `scene`, as many shops each as this size has at most."""
        most = self.shops
        found = specs(scene, seeds)
        if most is None:
            return found
        return [msgspec.structs.replace(spec, shops=min(spec.shops, most)) for spec in found]


SIZES = {
    "quick": Size(tuning=1, test=2, quiet=1, scenes=1, ablation=1, shops=16),
    "medium": Size(
        tuning=len(TUNING_SEEDS), test=len(TEST_SEEDS), quiet=4, scenes=4, ablation=2, shops=20
    ),
    "full": Size(tuning=len(TUNING_SEEDS), test=len(TEST_SEEDS), quiet=5, scenes=5, ablation=2),
}


class Work(msgspec.Struct, frozen=True):
    """What one process is to do with one stream of `scene`; `kept` is for the known ways."""

    scene: str
    spec: Spec
    kept: Path
    ways: bool = False
    detector: bool = False
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
        heard=hear_all(stream, work.kept) if work.ways else {},
        judged=judge_detector(stream, config) if work.detector else None,
        ablated={
            name: judge_detector(stream, DetectorConfig(without=(name,)))
            for name in sorted(EVIDENCE)
        }
        if work.ablation
        else {},
        fields={name: judge_detector(stream, config, change) for name, change in FIELDS.items()}
        if work.ablation
        else {},
    )


class Measured(msgspec.Struct):
    """What was measured: the known ways by scene, with and without fraud at the thresholds for it.

    The detector by scene, and with one thing taken away at a time.
    """

    ways: dict[str, dict[str, list[Judged]]]
    ways_quiet: dict[str, dict[str, list[Judged]]]
    scenes: dict[str, list[Judged]]
    ablated: dict[str, list[Judged]]
    fields: dict[str, list[Judged]]


def works(size: Size, kept: Path, *, known_only: bool) -> tuple[list[Work], list[Work]]:
    """What there is to do: on the tuning streams, and on those that are reported."""
    tuning = [
        Work(scene, spec, kept, ways=True)
        for scene in (MAIN, HARD)
        for spec in size.streams(scene, TUNING_SEEDS[: size.tuning])
    ]
    reported = []
    for scene in SCENES:
        ways = scene in {MAIN, HARD, QUIET}
        count = size.quiet if scene == QUIET else size.test if ways else size.scenes
        for place, spec in enumerate(size.streams(scene, TEST_SEEDS[:count])):
            ablate = scene in ABLATED and place < size.ablation and not known_only
            if ways or not known_only:
                work = Work(scene, spec, kept, ways, not known_only, ablate)
                reported.append(work)
    return tuning, reported


def run(size: Size, processes: int, kept: Path, *, known_only: bool = False) -> Measured:
    """Set the known ways' thresholds on the tuning streams, and run all on the test streams.

    With `known_only` nothing is measured, but what the known ways raise is kept for the next run.
    """
    tuning, reported = works(size, kept, known_only=known_only)
    with get_context("spawn").Pool(processes, maxtasksperchild=4) as pool:
        results = pool.map(do, [*tuning, *reported], chunksize=1)
    tuned, done = results[: len(tuning)], results[len(tuning) :]
    heard: dict[str, list[dict[str, Heard]]] = {}
    for work, one in zip(reported, done, strict=True):
        if work.ways:
            heard.setdefault(work.scene, []).append(one.heard)
    measured = Measured({}, {}, {}, {}, {})
    for scene in () if known_only else (MAIN, HARD):
        alarms = [one.heard for work, one in zip(tuning, tuned, strict=True) if work.scene == scene]
        ways, quiet = measured.ways.setdefault(scene, {}), measured.ways_quiet.setdefault(scene, {})
        for name in WAYS:
            threshold = threshold_for([one[name] for one in alarms])
            ways[name] = [one[name].judged(threshold) for one in heard[scene]]
            quiet[name] = [one[name].judged(threshold) for one in heard[QUIET]]
    for work, one in zip(reported, done, strict=True):
        _add(measured, work.scene, one)
    return measured


def _add(measured: Measured, scene: str, done: Done) -> None:
    if done.judged is None:
        return
    measured.scenes.setdefault(scene, []).append(done.judged)
    for table, taken in ((measured.ablated, done.ablated), (measured.fields, done.fields)):
        if taken:
            table.setdefault("everything", []).append(done.judged)
        for name, judged in taken.items():
            table.setdefault(f"without {name}", []).append(judged)


def tables(measured: Measured) -> str:
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
                measured.ways[scene],
                measured.ways_quiet[scene],
            ),
            kinds_table(measured.scenes[scene], measured.ways[scene]),
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
    "--kept",
    type=click.Path(file_okay=False, path_type=Path),
    default=kept_in,
    help="Where the known ways' alarms are kept for the next run; among the user's caches.",
)
@click.option("--known-only", is_flag=True, help="Fill that, and leave the detector alone.")
@click.option("--cost/--no-cost", default=True, help="Time the detector and the known ways.")
@click.option("--write", is_flag=True, help=f"Put the tables into {DOCUMENT}.")
def main(
    *, size: str, processes: int, kept: Path, known_only: bool, cost: bool, write: bool
) -> None:
    """Measure detection, and print the tables of docs/detection.md."""
    measured = run(SIZES[size], processes, kept, known_only=known_only)
    if known_only:
        return
    text = tables(measured)
    if cost:
        text += "\n\n" + cost_table()
    print(text)
    if write:
        put_between(DOCUMENT, text)


def put_between(path: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Replace what stands between the marks of `path`.

    Raises:
        ValueError: it has no such marks.
    """
    whole = path.read_text(encoding="utf-8")
    before, begun, rest = whole.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"{path} has no {begin} … {end}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
