"""How long this process took to come up, by stage."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from anyio import to_thread
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flstore_core.errors import FLStoreError
from flstore_core.storage.base import ObjectStore

logger = logging.getLogger(__name__)

PROCESS = "process"
"""Until requests are answered."""
STORE = "store"
"""Until the object store has answered."""

_STARTTIME = 21 - 2
"""Field 22 of /proc/self/stat, counted from behind the command's closing parenthesis."""
_IMPORTED = time.monotonic()


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


async def open_early(store: ObjectStore, startup: Startup | None = None) -> None:
    """Open the store while the first request is still on its way, and note in `startup` when it has answered."""
    try:
        await to_thread.run_sync(store.probe, abandon_on_cancel=True)
    except FLStoreError as error:
        logger.warning("the object store does not answer", extra={"error": error.detail})
    else:
        if startup is not None:
            startup.reached(STORE)


def age_s() -> float:
    """Return the seconds since this process was born; since this module was imported where no /proc tells."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic() - _IMPORTED
    born = int(fields[_STARTTIME]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - born
