"""The command line: one program, `tillwatch`, whose commands live beside what they command."""

from importlib.metadata import entry_points

import click


class _LazyGroup(click.Group):
    """Finds commands among the entry points, and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        del ctx
        return sorted(point.name for point in entry_points(group="tillwatch.commands"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        del ctx
        for point in entry_points(group="tillwatch.commands", name=cmd_name):
            try:
                command: click.Command = point.load()
            except ModuleNotFoundError as error:
                return _not_installed(cmd_name, str(error.name))
            return command
        return None


def _not_installed(name: str, module: str) -> click.Command:
    """Stands where a command would, of whose modules one is not installed here."""

    def explain(**_: object) -> None:
        raise click.ClickException(
            f"`tillwatch {name}` needs the Python module {module}, which is not installed here; "
            "an install of the whole project (`make install`) has it"
        )

    return click.Command(
        name,
        callback=explain,
        short_help=f"Not to be had here: {module} is not installed.",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tillwatch")
def main() -> None:
    """Watches every till of a retailer in real time."""
