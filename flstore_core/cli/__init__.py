"""The `flstore` command: options and tables over the client, one module a command.

A command is imported when it is called, and nothing but click before that. What commands share lies in `session`
(connection, errors, JSON), `values` (arguments) and `tables`.
"""

from flstore_core.cli.main import main

__all__ = ["main"]
