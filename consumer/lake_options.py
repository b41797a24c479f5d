"""Where the lake lies and how its days are counted: options of the commands that read it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click


def in_the_lake(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` the options that say where the lake is, as one `lake`."""

    @wraps(command)
    def opening(
        *,
        place: str | None,
        bucket: str | None,
        application: str,
        zone: str,
        region: str,
        endpoint: str | None,
        **options: Any,
    ) -> None:
        from consumer.lake import LakeError, open_lake

        where = place or (f"s3://{bucket}" if bucket else None)
        if where is None:
            raise click.ClickException(
                "where is the lake? Name it with --lake, or set TILLWATCH_BUCKET"
            )
        try:
            lake = open_lake(
                where, application=application, zone=zone, region=region, endpoint=endpoint
            )
        except LakeError as error:
            raise click.ClickException(str(error)) from None
        command(lake=lake, **options)

    for option in reversed(
        [
            click.option("--lake", "place", help="s3://bucket, or a folder; TILLWATCH_BUCKET."),
            click.option("--bucket", envvar="TILLWATCH_BUCKET", hidden=True),
            *settings(),
        ]
    ):
        opening = option(opening)
    return opening


def settings() -> list[Callable[..., Any]]:
    """The options that have a setting of the same name, which counts where none is given."""
    from consumer.settings import Settings

    def option(flag: str, name: str, setting: str) -> Callable[..., Any]:
        field = Settings.model_fields[setting]
        return click.option(
            flag,
            name,
            envvar=f"TILLWATCH_{setting.upper()}",
            default=field.default,
            show_default=field.default is not None,
            help=field.description,
        )

    return [
        option("--application", "application", "application"),
        option("--zone", "zone", "business_time_zone"),
        option("--region", "region", "region"),
        option("--endpoint", "endpoint", "aws_endpoint"),
    ]
