"""python -m tests.simulation --seeds 0:10000 [--jobs 2] [--parquet] | --seed 7 --trace."""

import gc
import sys
import time
from collections import Counter
from functools import partial
from multiprocessing import Pool

import click

from tests.simulation.schedule import Outcome, run

PROGRESS_EVERY = 500


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
    began = time.perf_counter()
    counts: Counter[str] = Counter()
    failing = 0
    with Pool(jobs, initializer=gc.freeze) as pool:
        seeds_to_run = range(first, last)
        for outcome in pool.imap_unordered(partial(run, parquet=parquet), seeds_to_run, 20):
            counts.update(outcome.counts)
            counts["schedules"] += 1
            if counts["schedules"] % PROGRESS_EVERY == 0:
                click.echo(f"{counts['schedules']:,} schedules", err=True)
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
    click.echo(f"{counts['schedules']:,} schedules, {failing} failing, in {took:,.0f} s")
    for name, count in sorted(counts.items()):
        click.echo(f"  {name:<36} {count:>12,}")
    sys.exit(bool(failing))


def _tell(outcome: Outcome) -> None:
    if outcome.broken:
        click.echo(f"seed {outcome.seed} breaks a promise:")
        for what in outcome.broken[:8]:
            click.echo(f"  {what[:400]}")
    else:
        click.echo(f"seed {outcome.seed}: {outcome.steps} steps, {outcome.seconds:.0f} s simulated")


if __name__ == "__main__":
    main()
