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
            command: click.Command = point.load()
            return command
        return None


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tillwatch")
def main() -> None:
    """Watches every till of a retailer in real time."""
