"""What a shard costs: time to come up from nothing, memory beyond the bytes it holds."""

import os
import signal
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.bench.row import Row
from tests.bench.system import JOB, System, flstore, ingest_rounds, s3
from tests.servers import wait_until

STARTS = 5


def rows() -> Iterator[Row]:
    """Measure memory first, then kill the shard again and again."""
    with s3() as server, flstore(server, "shards", shards=1) as system:
        idle = _idle_rss(system)
        ingest_rounds(system.client, 2, slices=1)
        used = int(str(_shard(system)["inventory"]["used_bytes"]))
        overhead = (_rss(_pid(system)) - idle) / used
        yield Row(
            "shard_rss_overhead", overhead, "x", 1.15, note=f"{used / 1e6:.0f} MB cached, idle {idle / 1e6:.0f} MB"
        )
        starts = [_restart(system) for _ in range(STARTS)]
        yield Row("shard_start_s", statistics.median(starts), "s", 1.0, note=f"slowest {max(starts):.2f} s")


def _idle_rss(system: System) -> int:
    """Return the memory of a shard that has answered one request and holds nothing to speak of."""
    tiny = {"w": np.ones(8, np.float32)}
    system.client.create_job("idle", like=tiny, slices=1)
    system.client.put_update("idle", 1, "client", tiny)
    return _rss(_pid(system))


def _restart(system: System) -> float:
    before = int(str(_shard(system)["starts"]))
    os.kill(_pid(system), signal.SIGKILL)
    system.client.run_anew(JOB, "aggregate", round=1)
    wait_until(lambda: int(str(_shard(system)["starts"])) > before, "the shard's start")
    return float(str(_shard(system)["last_start_s"]))


def _shard(system: System) -> dict[str, dict[str, object]]:
    return dict(system.shards()[0])  # type: ignore[arg-type]


def _pid(system: System) -> int:
    return int(str(system.shards()[0]["pid"]))


def _rss(pid: int) -> int:
    """Return a process's resident memory in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
