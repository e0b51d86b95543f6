"""What commands share: the connection to a server, `--json`, and errors as one clear line."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click
from rich.console import Console, RenderableType

from flstore_core.client import Fields, FLStore
from flstore_core.environment import misspelt
from flstore_core.errors import FLStoreError
from flstore_core.presentation import legible

P = ParamSpec("P")

DEFAULT_URL = "http://127.0.0.1:8080"
_RETRIES = 2
"""Fewer than the client's own: a person waits."""

_RETRIES_FOR_LONG = 20
"""About a minute and a half, or as long as the gateway says; nobody watches each request."""


@dataclass(frozen=True)
class Output:
    """Where a command prints, and in which form."""

    as_json: bool
    console: Console = field(default_factory=lambda: Console(markup=False, emoji=False))
    """Takes text as it is: names and paths may contain what rich would read as markup. `Text` has styles."""

    def show(self, data: Any, *lines: RenderableType) -> None:
        """Print `data` as JSON with `--json`, otherwise the readable `lines`."""
        if self.as_json:
            click.echo(to_json(data))
        for line in () if self.as_json else lines:
            self.console.print(line)


@dataclass(frozen=True)
class Session:
    """A command's connection and output."""

    client: FLStore
    output: Output

    @property
    def as_json(self) -> bool:
        return self.output.as_json

    def show(self, data: Any, *lines: RenderableType) -> None:
        """Print as `Output.show` does."""
        self.output.show(data, *lines)


@contextmanager
def open_session(url: str, token: str | None, as_json: bool, retries: int = _RETRIES) -> Iterator[Session]:
    """Connect to the FLStore at `url` for a block."""
    with FLStore(url, token or None, retries=retries) as client:
        yield Session(client, Output(as_json))


def connected(command: Callable[Concatenate[Session, P], None]) -> Callable[P, None]:
    """Add `--url`, `--token` and `--json` to a command, connect, and report errors."""
    return _connected(command, _RETRIES)


def connected_for_long(command: Callable[Concatenate[Session, P], None]) -> Callable[P, None]:
    """Do as `connected` for a command that moves much: it waits longer for a gateway that is busy or restarts."""
    return _connected(command, _RETRIES_FOR_LONG)


def _connected(command: Callable[Concatenate[Session, P], None], retries: int) -> Callable[P, None]:
    @click.option(
        "--url",
        envvar="FLSTORE_URL",
        default=DEFAULT_URL,
        show_default=True,
        show_envvar=True,
        help="Address of the FLStore.",
    )
    @token_option
    @json_option
    @wraps(command)
    def connect(*args: P.args, **options: P.kwargs) -> None:
        for warning in misspelt(os.environ):
            click.echo(f"warning: {warning}", err=True)
        url, token, as_json = (options.pop(name) for name in ("url", "token", "as_json"))
        with reported(bool(as_json)), open_session(str(url), str(token or ""), bool(as_json), retries) as session:
            command(session, *args, **options)

    return connect


def token_option(command: Callable[P, None]) -> Callable[P, None]:
    """Add `--token` to a command."""
    help_text = "Bearer token, if the server requires one."
    return click.option("--token", envvar="FLSTORE_TOKEN", show_envvar=True, help=help_text)(command)


def json_option(command: Callable[P, None]) -> Callable[P, None]:
    """Add `--json` to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def wide_option(command: Callable[P, None]) -> Callable[P, None]:
    """Add `--wide` to a command."""
    help_text = "Show all columns, those too that have no room beside the others."
    return click.option("--wide", is_flag=True, help=help_text)(command)


@contextmanager
def reported(as_json: bool = False) -> Iterator[None]:
    """Turn an `FLStoreError` into its message on stderr and exit code 1."""
    try:
        yield
    except FLStoreError as error:
        message = json.dumps({"error": _problem(error)}) if as_json else "\n".join(_lines(error))
        click.echo(message, err=True)
        sys.exit(1)


def to_json(data: Any) -> str:
    """Return a value of the client as indented JSON."""
    return json.dumps(data, indent=2, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Fields):
        return value.raw
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _problem(error: FLStoreError) -> dict[str, Any]:
    return {
        **error.extensions,
        "code": error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
    }


def _lines(error: FLStoreError) -> Iterator[str]:
    """Yield the lines of an error without what a terminal would obey: a name in it may come from anybody."""
    for text in _texts(error):
        yield from map(legible, text.split("\n"))


def _texts(error: FLStoreError) -> Iterator[str]:
    """Yield the error with its request's id, then each wrong field that the detail does not mention."""
    request = error.extensions.get("request_id")
    yield f"error: {error.title}: {error.detail}" + (f" (request {request})" if request else "")
    for field_error in error.extensions.get("errors") or ():
        line = f"{field_error.get('field')}: {field_error.get('message')}"
        if line not in error.detail:
            yield f"  {line}"
