"""The command group that has, beside its own commands, those that other distributions add.

Each of these is an entry point of the group `flstore.commands`.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points

import click

from flstore_core.cli.lazy import OrderedGroup

GROUP = "flstore.commands"
SERVER = "flstore-server"
"""The distribution that runs FLStore itself."""


class ExtensibleGroup(OrderedGroup):
    """Has its own commands first, then those of the entry points; an entry point cannot replace an own command.

    Entry points are read when all commands are listed or an own command does not match, and loaded one by one.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = super().list_commands(ctx)
        return [*own, *(name for name in entries() if name not in own)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in entries():
            return own
        return _load(entries()[cmd_name])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if _has_server():
                raise
            hint = f"The commands that run FLStore itself come with: pip install {SERVER}"
            raise click.UsageError(f"{error.format_message()} {hint}", ctx) from error


@cache
def entries() -> Mapping[str, EntryPoint]:
    """Return the entry points of commands by name, in the order of their names."""
    points = entry_points(group=GROUP)
    return {name: points[name] for name in sorted(points.names)}


def _load(entry: EntryPoint) -> click.Command:
    """Return the command of an entry point, or, if it cannot be loaded, one that says why when it is called."""
    try:
        command = entry.load()
        if isinstance(command, click.Command):
            return command
        reason = f"{type(command).__name__} is not a click command"
    except Exception as error:  # another distribution's code: it must not take the other commands down
        reason = f"{type(error).__name__}: {error}"
    return _broken(entry, reason)


def _broken(entry: EntryPoint, reason: str) -> click.Command:
    message = f"command {entry.name!r} ({entry.value}) cannot be loaded: {reason}"

    def fail() -> None:
        raise click.ClickException(message)

    return click.Command(entry.name, callback=fail, help=message, short_help="Cannot be loaded.")


def _has_server() -> bool:
    try:
        distribution(SERVER)
    except PackageNotFoundError:
        return False
    return True
