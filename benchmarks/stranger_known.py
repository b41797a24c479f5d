"""`python -m benchmarks.stranger_known`: the known ways on streams of another hand.

Their thresholds are set on the very streams they are reported on, which flatters them. What they
find says how strong these thieves are beside those of docs/detection.md's other streams.
"""

from multiprocessing import get_context

import click

from benchmarks.detection_runs import Heard, hear, threshold_for
from benchmarks.detection_ways import WAYS
from benchmarks.stranger_chain import Draw
from benchmarks.stranger_streams import FIRST_SEED, FRAUD, draws, load
from consumer.evaluation import measure


def listen(draw: Draw) -> dict[str, Heard]:
    """Every known way on one stream."""
    stream = load(draw).stream
    return {name: hear(stream, make) for name, make in WAYS.items()}


@click.command()
@click.option("--seeds", default=8, show_default=True, help="Streams with all kinds of fraud.")
@click.option("--processes", default=2, show_default=True)
def main(*, seeds: int, processes: int) -> None:
    """Print what each known way finds within the budget."""
    with get_context("spawn").Pool(processes) as pool:
        heard = pool.map(listen, draws(FRAUD, FIRST_SEED, seeds), chunksize=1)
    print("| | recall | strict precision | false pages per shop-week |\n| --- | --- | --- | --- |")
    for name in WAYS:
        of_it = [one[name] for one in heard]
        threshold = threshold_for(of_it)
        found = measure([one.judged(threshold) for one in of_it])
        figures = (found.recall, found.strict_precision, found.false_per_shop_week)
        print(f"| {name} | {' | '.join(f'{figure or 0.0:.2f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
