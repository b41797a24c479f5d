"""`tillwatch dashboards`: what OpenSearch Dashboards shows, made by code."""

import sys
from pathlib import Path

import click


@click.group()
def dashboards() -> None:
    """The dashboards of OpenSearch Dashboards: Live, Shop, Operations."""


@dashboards.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write instead of stdout; Dashboards wants its name to end in .ndjson.",
)
def export(*, output: Path | None) -> None:
    """Write the saved objects as a file that Dashboards imports (NDJSON)."""
    from sinks.dashboards.export import export as file_of

    made = file_of()
    if output is None:
        sys.stdout.buffer.write(made)
        return
    try:
        output.write_bytes(made)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None
