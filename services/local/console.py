"""The console beside the other processes of a machine: whether it can run here, where it listens, what it is told."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.util import find_spec

from flstore_core.errors import InvalidParameters
from services.local.sockets import listening

PORT = 8090
"""Where the console listens if it can, so that its address is the same from day to day."""
MISSING = "pip install 'flstore-server[console]'"
"""How to get the console, where its packages are not there."""
_HANDED_ON = frozenset({"FLSTORE_LOG_LEVEL", "FLSTORE_GRACE_SECONDS"})


def can_show() -> bool:
    """Say whether this interpreter, which starts the console, has the package that it is made with."""
    return find_spec("nicegui") is not None


@contextmanager
def console_listening(host: str) -> Iterator[socket.socket]:
    """Yield the console's socket: on `PORT`, or on a free port where that is in use."""
    try:
        opened = listening(host, PORT)
    except InvalidParameters:
        opened = listening(host, 0)
    with closing(opened):
        yield opened


def console_env(base: Mapping[str, str], gateway_url: str) -> dict[str, str]:
    """Return the environment of the console: without the secrets of gateway and store, which it has no use for."""
    return {name: text for name, text in base.items() if _may_know(name)} | {"FLSTORE_URL": gateway_url}


def _may_know(name: str) -> bool:
    return name in _HANDED_ON or name.startswith("FLSTORE_CONSOLE_") or not name.startswith(("FLSTORE_", "AWS_"))
