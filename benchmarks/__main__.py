"""`make bench`: the performance promises, each variant in a process of its own."""

import os
import statistics
import subprocess
import sys
from importlib import import_module

import click
import msgspec

from benchmarks.pipeline import RECORDS, VARIANTS, WARM_UP_RECORDS, Measured
from events.native import in_words


def _run(name: str) -> Measured:
    """One variant once, in a fresh process: no variant warms another's caches."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "one", name],
        # As the worker's child has it: neither side multiplies matrices, and idle threads of
        # numpy's that wait for some would be counted.
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        check=True,
        stdout=subprocess.PIPE,
        timeout=600,
    )
    return msgspec.json.decode(done.stdout, type=Measured)


@click.group(invoke_without_command=True)
@click.option("--rounds", default=3, show_default=True, help="Runs of each variant, in turn.")
@click.option(
    "--only",
    type=click.Choice(
        [
            "pipeline",
            "worker",
            "snapshot",
            "archive",
            "recovery",
            "kill",
            "detection",
            "lake",
            "indexing",
        ]
    ),
    help="One table alone.",
)
@click.option("--records", default=300_000, show_default=True, help="Records for the worker.")
@click.pass_context
def main(context: click.Context, rounds: int, only: str | None, records: int) -> None:
    """Measure, and print the tables of docs/benchmarks.md."""
    if context.invoked_subcommand is not None:
        return
    if only in (None, "pipeline"):
        pipeline_table(rounds)
    if only in (None, "worker"):
        from benchmarks.worker import worker_table

        worker_table(records)
    for name in ("snapshot", "lake", "archive", "indexing"):
        if only in (None, name):
            getattr(import_module(f"benchmarks.{name}"), f"{name}_table")()
    if only == "recovery":  # ten minutes
        from benchmarks.recovery import recovery_table

        recovery_table()
    if only == "kill":  # half an hour
        from benchmarks.kill import kill_table

        kill_table(records, rounds)
    if only == "detection":  # minutes of two cores: when asked for by name
        from benchmarks.detection import main as detection

        detection([], standalone_mode=False)


@main.command(hidden=True)
@click.argument("name", type=click.Choice(list(VARIANTS)))
def one(name: str) -> None:
    """Run one variant in this process and print what was measured."""
    VARIANTS[name](WARM_UP_RECORDS)  # loads libraries and fills caches, which is no record's cost
    click.echo(msgspec.json.encode(VARIANTS[name](RECORDS)))


def pipeline_table(rounds: int) -> None:
    """Table (a): medians over the rounds, and the ratio round by round."""
    runs = [(_run("tillwatch"), _run("tutorial")) for _ in range(rounds)]
    print(f"(a) The pipeline without services, {runs[0][0].records:,} records, median of {rounds}")
    print()
    print("| | records per CPU-second | CPU-s per 100k | bulk MB | Parquet MB | refunds scored |")
    print("|---|---|---|---|---|---|")
    medians = []
    for variant in range(2):
        of = [run[variant] for run in runs]
        rate = statistics.median(run.records_per_cpu_second for run in of)
        medians.append(rate)
        print(
            f"| {of[0].name} | {rate:,.0f} | {100_000 / rate:.2f} | "
            f"{of[0].bulk_bytes / 1e6:.1f} | {of[0].parquet_bytes / 1e6:.1f} | {of[0].refunds} |"
        )
    ratios = [ours.records_per_cpu_second / theirs.records_per_cpu_second for ours, theirs in runs]
    print()
    print(f"Ratio, round by round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; ", end="")
    print(f"of the medians: {medians[0] / medians[1]:.2f}. Hot path: {in_words()}.")
    for variant in range(2):
        of = [run[variant] for run in runs]
        print()
        print(f"{of[0].name}, CPU-seconds per 100k by stage (medians):")
        for stage in of[0].stages:
            seconds = statistics.median(run.stages[stage] for run in of)
            print(f"  {stage}: {seconds * 100_000 / of[0].records:.2f}")


main(prog_name="python -m benchmarks")
