"""The `flstore` command: options and tables over the client, one module for each command.

Here: the commands, and what they share: `session` (connection, output, errors), `values` (arguments) and `tables`. A
command is imported when it is called, and nothing but click before that.

Not here: commands that start a service. They come from other distributions by entry point (`plugins`).
"""

from flstore_core.cli.main import main

__all__ = ["main"]
