"""Runs all of FLStore as processes of this machine."""

import errno
import http.client
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from flstore_core.errors import InvalidParameters, Unavailable
from flstore_core.storage import open_store
from flstore_core.storage.conditions import check_conditions
from flstore_core.units import parse_size
from services.common.proof import VARIABLE, new_key
from services.common.serve import Listen, family
from services.local.settings import HOST, check
from services.local.supervisor import GRACE_S, Part, Supervisor

EVERY_ADDRESS = {"0.0.0.0": HOST, "::": "::1"}  # noqa: S104 - where others are told to listen, not a default
"""Addresses that stand for all of this machine's, and one of its own by which each is reached."""
BACKLOG = 1024
READY_WITHIN_S = 60.0
MARGIN_S = 2.0
"""Seconds that a part has to end after its grace, before it is killed."""
_POLL_S = 0.02


class Addresses(NamedTuple):
    """Where this machine reaches what runs."""

    gateway: str
    controller: str
    """For its metrics; what else it answers is for services alone."""


@contextmanager
def running(
    store: str,
    *,
    shards: int = 2,
    host: str = HOST,
    port: int = 0,
    root_path: str | None = None,
    cache_size: str = "512MiB",
    policy: str = "tailored",
    idle_seconds: float = 60.0,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[Addresses]:
    """Run gateway, placement controller and shards over `store`, and yield their addresses once they are ready.

    Args:
        store: URL or directory of the object store.
        shards: number of shards; each is at zero until it is needed.
        host: address at which the gateway listens. Everything else listens on loopback.
        port: port of the gateway; 0 takes a free one.
        root_path: path below which a proxy has the gateway; None for what the environment says.
        cache_size: budget of each shard's cache, such as `512MiB`.
        policy: caching policy of the shards, by name.
        idle_seconds: a shard goes to zero after so many seconds without a data request; 0 for never.
        env: environment of the processes, with credentials and further settings; by default this process's own. The
            arguments win over it.
        log: file that takes the processes' logs; by default they go to this process's stderr.

    A process that dies is started again under the same address. All processes end when the block or this process ends.

    Raises:
        InvalidParameters: if the port is in use, or a setting is not acceptable.
        StoreUnavailable: if the store does not answer.
        UnsuitableStore: if the store does not keep conditional writes.
        Unavailable: if a process does not become ready.
    """
    base = dict(os.environ if env is None else env)
    base[VARIABLE] = base.get(VARIABLE) or new_key()
    settings = _settings(store, shards, cache_size, policy, idle_seconds)
    if root_path is not None:
        settings["FLSTORE_ROOT_PATH"] = root_path
    check(base | settings | {"FLSTORE_HOST": host})
    with closing(open_store(store, base)) as opened:
        opened.probe()
        check_conditions(opened)
    with ExitStack() as stack:
        public = stack.enter_context(_listening(host, port))
        internal = stack.enter_context(_listening(HOST, 0))
        parts = [
            Part("placement", "services.placement", internal, base | settings),
            Part("gateway", "services.gateway", public, base | settings | {"FLSTORE_PLACEMENT_URL": _url(internal)}),
        ]
        supervisor = Supervisor(parts, stack.enter_context(_appended(log)) if log else None, _grace_s(base))
        stack.callback(supervisor.stop)
        deadline = time.monotonic() + READY_WITHIN_S
        supervisor.start(READY_WITHIN_S)
        _wait_until_ready(public, deadline)
        yield Addresses(_url(public), _url(internal))


def _grace_s(env: Mapping[str, str]) -> float:
    """Return after how many seconds a part is killed: the controller's own grace comes after that of its backends."""
    return max(GRACE_S, 2 * Listen.from_env(env).grace_s + MARGIN_S)


def _settings(store: str, shards: int, cache_size: str, policy: str, idle_seconds: float) -> dict[str, str]:
    return {
        "FLSTORE_STORE": store,
        "FLSTORE_SHARDS": str(shards),
        "FLSTORE_CACHE_BYTES": str(parse_size(cache_size)),
        "FLSTORE_POLICY": policy,
        "FLSTORE_IDLE_SECONDS": str(idle_seconds),
    }


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise InvalidParameters(f"port {port} is not usable; choose 0 to 65535")
    try:
        return socket.create_server((host, port), family=family(host), backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InvalidParameters(
                f"port {port} of {host} is in use; choose another, or stop the program that listens there"
            ) from error
        raise InvalidParameters(f"port {port} of {host} cannot be used: {error.strerror}") from error


def _appended(log: Path) -> IO[bytes]:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("ab")
    except OSError as error:
        raise InvalidParameters(f"log {str(log)!r} cannot be written: {error.strerror}") from error


def _url(listening: socket.socket) -> str:
    """Return an address by which this machine reaches a socket."""
    host, port = _reachable(listening)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _reachable(listening: socket.socket) -> tuple[str, int]:
    host, port, *_ = listening.getsockname()
    return EVERY_ADDRESS.get(host, host), port


def _wait_until_ready(listening: socket.socket, deadline: float) -> None:
    while not _is_ready(listening):
        if time.monotonic() > deadline:
            raise Unavailable(f"the gateway was not ready within {READY_WITHIN_S:g} s; its log says why")
        time.sleep(_POLL_S)


def _is_ready(listening: socket.socket) -> bool:
    connection = http.client.HTTPConnection(*_reachable(listening), timeout=5.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
