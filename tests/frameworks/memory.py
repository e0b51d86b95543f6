"""The server's memory, of updates of ResNet18's size, by the number of clients."""

import re
from collections.abc import Mapping
from pathlib import Path

from tests.frameworks.plan import RESNET, Plan
from tests.frameworks.programs import Framework

CLIENTS = (10, 30, 100)
WITHOUT = "without FLStore"
MOST_SHARE = 0.7
"""Share of the machine's free memory that a training may be expected to take."""
MODEL_BYTES = 46_800_000

Peaks = Mapping[str, Mapping[int, int | None]]
"""By way of transport and number of clients, in bytes; None where this machine has too little memory."""


def measure(framework: Framework, url: str) -> Peaks:
    """Train for one round with each number of clients, in each way."""
    if not framework.large:
        return {}
    return {
        way: {clients: peak(framework, url, way, clients) for clients in CLIENTS}
        for way in (WITHOUT, *framework.transports)
    }


def peak(framework: Framework, url: str, way: str, clients: int) -> int | None:
    """Return the most memory that the server's process takes for one round, in bytes; None if there is too little."""
    if way != "reference" and clients * MODEL_BYTES > MOST_SHARE * _free_bytes():
        return None
    job = f"{framework.name.lower()}-memory-{way}-{clients}"
    plan = Plan(RESNET, clients, rounds=1, url="" if way == WITHOUT else url, job=job, transport=way)
    return framework.train(plan, program="memory").peak_bytes


def per_client(peaks: Mapping[int, int | None]) -> float | None:
    """Return the bytes that each further client takes, from the fewest clients to the most that were tried."""
    tried = {clients: peak for clients, peak in peaks.items() if peak is not None}
    if len(tried) < 2:
        return None
    fewest, most = min(tried), max(tried)
    return (tried[most] - tried[fewest]) / (most - fewest)


def _free_bytes() -> int:
    """Return how much memory a new process can have, caches given up."""
    (free_kib,) = re.findall(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return 1024 * int(free_kib)
