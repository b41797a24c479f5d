"""`python -m benchmarks.detection_pages`: every page of one run, as a person gets it."""

from pathlib import Path

import click

from anomaly.detector import DetectorConfig
from benchmarks.detection_runs import detect, facts_of
from benchmarks.detection_streams import Spec, Stream, load
from consumer.evaluation import HIT_SHARE, judge, measure
from events.page import Page
from sinks.page_text import text

DOCUMENT = Path("docs/detection-pages.md")
SEED = 95_001
SHOPS = 12

_HEAD = """# Every page of a run

What a person is sent by mail, page by page as it stood last, for six weeks of {shops} shops: the
sample stream of seed {seed}, which nothing was tuned on. Beneath each is what was behind it, which
no detector is told. `python -m benchmarks.detection_pages` makes this page. Pages of the first
fortnight are shown, and not counted here, as everywhere.

{pages} pages: {found} of {campaigns} campaigns found, {false} pages about nothing.
"""


@click.command()
@click.option("--seed", default=SEED, show_default=True)
@click.option("--write", is_flag=True, help=f"Write {DOCUMENT}; otherwise print.")
def main(*, seed: int, write: bool) -> None:
    """Show the pages of one run as people get them, with what was behind each."""
    stream = load(Spec(seed, shops=SHOPS))
    whole = as_markdown(stream, detect(stream, DetectorConfig()), seed)
    if write:
        DOCUMENT.write_text(whole, encoding="utf-8")
    else:
        print(whole, end="")


def as_markdown(stream: Stream, pages: list[Page], seed: int) -> str:
    """The pages in order of opening, each with its truth."""
    found = measure([judge(map(facts_of, pages), stream.labels, stream.arrivals)])
    parts = [
        _HEAD.format(
            shops=SHOPS,
            seed=seed,
            pages=len(pages),
            found=found.found,
            campaigns=found.campaigns,
            false=found.false_pages,
        )
    ]
    campaign_of = {one.transaction_id: (one.campaign_id, one.kind) for one in stream.labels}
    in_order = sorted(pages, key=lambda one: (one.opened_at, one.page_id))
    parts += [f"```text\n{text(one)}```\n\n{_truth(one, campaign_of)}\n" for one in in_order]
    return "\n".join(parts)


def _truth(page: Page, campaign_of: dict[str, tuple[str, str]]) -> str:
    stolen = [campaign_of[one] for one in page.evidence if one in campaign_of]
    if not stolen:
        return "Behind it: nothing but trade."
    campaign, kind = max(set(stolen), key=lambda one: (stolen.count(one), one))
    count, of_all = stolen.count((campaign, kind)), len(page.evidence)
    hit = "" if count >= HIT_SHARE * of_all else ", too few of them to count as found"
    return f"Behind it: `{kind}` ({campaign}), {count} of {of_all} refunds shown{hit}."


if __name__ == "__main__":
    main()
