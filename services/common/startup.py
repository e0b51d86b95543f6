"""Measures how long this process took to start, by stage, and tells callers how old it is.

Only a caller knows how long it waited for a start: Kubernetes calls a pod ready up to a second later, and knows nothing
of requests that the activator holds. Each answer says how old the process is. A call that took longer than that began
before the process did, so it waited for the start.

    t = 0.0 s   a call leaves the gateway; the shard is at zero
    t = 0.9 s   its process is born
    t = 1.6 s   the answer leaves, X-FLStore-Age: 0.700      the call waited 0.9 s for a process, 0.7 s for its answer
"""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from anyio import to_thread
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flstore_core.errors import FLStoreError
from flstore_core.storage.base import ObjectStore

logger = logging.getLogger(__name__)

AGE_HEADER = "X-FLStore-Age"
"""Seconds since the birth of the process that answers."""

PROCESS = "process"
"""Stage that is over when requests are answered."""
STORE = "store"
"""Stage that is over when the object store has answered once."""

_STARTTIME = 22 - 3
"""Index of field 22 of /proc/self/stat, the time of birth, in a list that begins with field 3.

The list begins behind the closing parenthesis of field 2, the command, which may itself hold spaces and parentheses.
"""
_IMPORTED = time.monotonic()
"""Stands in for the time of birth where there is no /proc."""


class Startup(Collector):
    """Notes when stages were reached, and shows that as a metric."""

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self._stages: dict[str, float] = {}

    def reached(self, stage: str) -> None:
        """Note that `stage` is over, unless that was noted before."""
        self._stages.setdefault(stage, age_s())

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "flstore_shard_start_seconds", "From the process' birth to the end of a stage", labels=["shard", "stage"]
        )
        for stage, seconds in self._stages.items():
            family.add_metric([self._shard, stage], seconds)
        yield family


class TellAge:
    """ASGI middleware: says in each answer how old this process is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._born = time.monotonic() - age_s()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_age(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[AGE_HEADER] = f"{time.monotonic() - self._born:.3f}"
            await send(message)

        await self._app(scope, receive, send_with_age)


async def open_early(store: ObjectStore, startup: Startup | None = None) -> None:
    """Connect to the store before a request needs it, and note in `startup` when it has answered."""
    try:
        await to_thread.run_sync(store.probe, abandon_on_cancel=True)
    except FLStoreError as error:
        logger.warning("the object store does not answer", extra={"error": error.detail})
    else:
        if startup is not None:
            startup.reached(STORE)


def age_s() -> float:
    """Return the seconds since this process was born or, where there is no /proc, since this module was imported."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic() - _IMPORTED
    # The kernel counts from boot, in clock ticks and on a clock that goes on while the machine sleeps.
    born = int(fields[_STARTTIME]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - born
