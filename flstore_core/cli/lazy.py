"""Groups that list their commands in order, and commands that are imported only when they are called."""

from importlib import import_module
from typing import Any

import click


class LazyCommand(click.Command):
    """Stands for the command at `target`, written `module:name`, until it is called, so that help is shown at once."""

    def __init__(self, name: str, target: str, summary: str) -> None:
        super().__init__(name, help=summary, short_help=summary)
        self._target = target

    def load(self) -> click.Command:
        """Return the command that this one stands for."""
        module, _, name = self._target.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        return self.load().make_context(info_name, args, parent, **extra)


class OrderedGroup(click.Group):
    """Lists its commands in the order they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


class ListingGroup(OrderedGroup):
    """Runs `list` if no subcommand is given, and `show WORD` for a word that is no subcommand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            shows = bool(args) and not args[0].startswith("-")
            args = ["show" if shows else "list", *args]
        return super().parse_args(ctx, args)
