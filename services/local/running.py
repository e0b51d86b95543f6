"""Runs all of FLStore as processes of this machine."""

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
from services.common.serve import Listen
from services.local.console import console_env
from services.local.settings import HOST, check
from services.local.sockets import listening, reachable, url_of
from services.local.supervisor import GRACE_S, Part, Supervisor

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
    console: socket.socket | None = None,
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
        console: the socket on which the console listens, see `console_listening`; None starts no console. Nothing waits
            for it: whoever opens it meanwhile waits in the socket's backlog.

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
        if console:
            # As a port: whoever reaches the gateway under another name reaches the console under that name too.
            settings.setdefault("FLSTORE_CONSOLE_URL", base.get("FLSTORE_CONSOLE_URL") or f":{reachable(console)[1]}")
        public = stack.enter_context(listening(host, port))
        internal = stack.enter_context(listening(HOST, 0))
        parts = [
            Part("placement", "services.placement", internal, base | settings),
            Part("gateway", "services.gateway", public, base | settings | {"FLSTORE_PLACEMENT_URL": url_of(internal)}),
        ]
        if console:
            env_of_console = console_env(base, url_of(public))
            parts.append(Part("console", "services.console", console, env_of_console, awaited=False))
        supervisor = Supervisor(parts, stack.enter_context(_appended(log)) if log else None, _grace_s(base))
        stack.callback(supervisor.stop)
        deadline = time.monotonic() + READY_WITHIN_S
        supervisor.start(READY_WITHIN_S)
        _wait_until_ready(public, deadline)
        yield Addresses(url_of(public), url_of(internal))


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


def _appended(log: Path) -> IO[bytes]:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("ab")
    except OSError as error:
        raise InvalidParameters(f"log {str(log)!r} cannot be written: {error.strerror}") from error


def _wait_until_ready(public: socket.socket, deadline: float) -> None:
    while not _is_ready(public):
        if time.monotonic() > deadline:
            raise Unavailable(f"the gateway was not ready within {READY_WITHIN_S:g} s; its log says why")
        time.sleep(_POLL_S)


def _is_ready(public: socket.socket) -> bool:
    connection = http.client.HTTPConnection(*reachable(public), timeout=5.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
