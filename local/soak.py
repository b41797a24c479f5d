"""`make soak`: faults on real parts, and what came out beside what would have without them."""

import sys
import time
from pathlib import Path

import click
import msgspec

from local.ending import Ending
from local.failing_phases import FailingReport, failing_text
from local.failing_services import failing_in
from local.outage import OutageReport, outage, outage_text
from local.soaking import Options, Report, soak

_FOLDER = Path(".tillwatch/soak")


@click.command()
@click.option(
    "--seed", default=1, show_default=True, help="What records and faults are drawn from."
)
@click.option("--records", default=200_000, show_default=True)
@click.option("--kills", default=30, show_default=True, help="SIGKILLs of daemons and children.")
@click.option("--shards", default=2, show_default=True)
@click.option("--workers", default=2, show_default=True, help="One of several is killed for good.")
@click.option(
    "--outages", default=2, show_default=True, help="OpenSearch ended, and started again."
)
@click.option("--freezes", default=2, show_default=True, help="A worker hangs, and goes on later.")
@click.option("--preload", is_flag=True, help="Every record is there first; kills in its middle.")
@click.option("--only", type=click.Choice(["child", "daemon"]), help="Kill this kind alone.")
@click.option(
    "--outage",
    "outage_seconds",
    type=float,
    help="Instead of kills: OpenSearch is away for so many seconds, while the records arrive.",
)
@click.option(
    "--services",
    "services_seconds",
    type=float,
    help="Instead of kills: S3, SQS, DynamoDB and SNS fail in turn, each for so many seconds.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=_FOLDER,
    show_default=True,
    help="The folder that state, logs and the report lie in; it is emptied first.",
)
def main(
    *,
    state: Path,
    outage_seconds: float | None,
    services_seconds: float | None,
    **given: object,
) -> None:
    """Kill a worker's processes again and again; then compare everything that came out.

    Ends with 1 where a document, a row or a page is missing, doubled or different. The report is
    report.json in the folder, with every fault and its time.
    """
    Ending().watch()
    options = msgspec.convert(given, Options)
    began = time.monotonic()

    def tell(what: str) -> None:
        click.echo(f"[{time.monotonic() - began:7.1f} s] {what}", err=True)

    report: Report | OutageReport | FailingReport
    if services_seconds is not None:
        report = failing_in(
            state,
            seed=options.seed,
            records=options.records,
            seconds=services_seconds,
            tell=tell,
        )
        said = failing_text(report)
    elif outage_seconds is None:
        report = soak(state, options, tell)
        said = text(report)
    else:
        report = outage(state, options, outage_seconds, tell)
        said = outage_text(report)
    path = state / "report.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
    click.echo(said)
    click.echo(f"report in {path}")
    sys.exit(1 if report.faults else 0)


def text(report: Report) -> str:
    """The report for a person."""
    by_kind: dict[str, int] = {}
    for one in report.injected:
        by_kind[one.kind] = by_kind.get(one.kind, 0) + 1
    done = ", ".join(f"{count} × {kind}" for kind, count in sorted(by_kind.items()))
    lines = [
        (
            f"seed {report.options.seed}, {report.records:,} records, "
            f"{report.options.shards} shards, "
            f"{report.options.workers} workers, {report.seconds:.0f} s"
        ),
        f"faults: {report.kills} kills ({done})",
        (
            f"accepted {report.accepted:,}, documents {report.documents:,}, rows {report.rows:,}, "
            f"dead letters {report.rejections}, left behind {report.staged_left} staged parts, "
            f"{report.orphans} snapshots"
        ),
        (
            f"pages {report.pages}, revisions sent {report.pages_sent}, sent again in the window "
            f"between SNS and the ledger {report.pages_sent_again}"
        ),
    ]
    held = "nothing lost, nothing twice, every score and page as without faults"
    return "\n".join([*lines, *([f"WRONG: {line}" for line in report.faults] or [held])])


if __name__ == "__main__":
    main(prog_name="make soak")
