"""python -m tests.simulation --seeds 0:10000 [--jobs 2] [--parquet] | --seed 7 --trace."""

import gc
import sys
import time
from collections import Counter
from multiprocessing import Pool

import click

from tests.simulation.schedule import Outcome, run


@click.command()
@click.option("--seeds", default="0:1000", help="From and to, as 0:1000.")
@click.option("--seed", type=int, help="This one alone.")
@click.option("--trace", is_flag=True, help="Print what happens.")
@click.option("--parquet", is_flag=True, help="With real Parquet files: slower.")
@click.option("--jobs", default=1, help="Processes at a time.")
@click.option("--failures-max", default=10, help="Stop after so many failing seeds.")
def main(
    seeds: str, seed: int | None, *, trace: bool, parquet: bool, jobs: int, failures_max: int
) -> None:
    """Run seeded schedules of faults, and say which of them break a promise."""
    if seed is not None:
        outcome = run(seed, parquet=parquet, tracing=click.echo if trace else None)
        _tell(outcome)
        sys.exit(bool(outcome.broken))
    first, last = map(int, seeds.split(":"))
    began, cpu = time.perf_counter(), time.process_time()
    counts: Counter[str] = Counter()
    failing = 0
    with Pool(jobs, initializer=gc.freeze) as pool:
        for outcome in pool.imap_unordered(
            _Run(parquet), range(first, last), chunksize=20
        ):
            counts.update(outcome.counts)
            counts["schedules"] += 1
            counts["steps"] += outcome.steps
            counts["simulated hours"] += int(outcome.seconds / 3.6)
            if outcome.broken:
                failing += 1
                _tell(outcome)
                if failing >= failures_max:
                    pool.terminate()
                    break
    counts["simulated hours"] //= 1000
    took = time.perf_counter() - began
    del cpu
    click.echo(f"{counts['schedules']:,} schedules, {failing} failing, in {took:,.0f} s")
    for name, count in sorted(counts.items()):
        click.echo(f"  {name:<36} {count:>12,}")
    sys.exit(bool(failing))


class _Run:
    def __init__(self, parquet: bool) -> None:  # noqa: FBT001 -- it goes to another process
        self._parquet = parquet

    def __call__(self, seed: int) -> Outcome:
        return run(seed, parquet=self._parquet)


def _tell(outcome: Outcome) -> None:
    if outcome.broken:
        click.echo(f"seed {outcome.seed} breaks a promise:")
        for what in outcome.broken[:8]:
            click.echo(f"  {what[:400]}")
    else:
        click.echo(f"seed {outcome.seed}: {outcome.steps} steps, {outcome.seconds:.0f} s simulated")


if __name__ == "__main__":
    main()
