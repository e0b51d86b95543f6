"""The server's memory, of updates of ResNet18's size, by the number of clients."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from flstore_core.client import FLStore
from tests.frameworks.plan import RESNET, Plan
from tests.frameworks.programs import Framework
from tests.frameworks.steps import Steps

CLIENTS = (10, 30, 100)
WITHOUT = "without FLStore"
WAYS = (WITHOUT, "value", "reference")
"""In which models get to the aggregation."""
MOST_SHARE = 0.7
"""Share of the machine's free memory that a training may be expected to take."""
MODEL_BYTES = 46_800_000
SITE_BYTES = 200_000_000
"""What a client that is a process of its own takes."""

Peaks = Mapping[str, Mapping[int, int]]
"""By way of transport and number of clients, in bytes; what was not tried, or failed, is not there."""


def measure(framework: Framework, url: str, steps: Steps) -> Peaks:
    """Train for one round with each number of clients, in each way."""
    peaks: dict[str, dict[int, int]] = {way: {} for way in WAYS}
    for way in WAYS:
        for clients in (clients for clients in CLIENTS if clients <= framework.most_clients):
            name = f"{framework.name}, the server's memory, {words(way)}, {clients} clients"
            found = steps.take(name, partial(peak, framework, url, way, clients), _told)
            if found is not None:
                peaks[way][clients] = found
    return peaks


def peak(framework: Framework, url: str, way: str, clients: int) -> int | None:
    """Return the most memory that the server's process takes for one round, in bytes; None where that is too much."""
    if _needed(framework, way, clients) > MOST_SHARE * _free_bytes():
        return None
    job = f"{framework.name.lower()}-memory-{way}-{clients}".replace(" ", "-")
    used = "" if way == WITHOUT else url
    plan = Plan(RESNET, clients, rounds=1, url=used, job=job, transport="value" if way == WITHOUT else way)
    found = framework.train(plan, framework.light).peak_bytes
    if used:
        FLStore(url).delete_job(job)  # its gigabytes are not needed any more
    return found


def per_client(peaks: Mapping[int, int | None]) -> float | None:
    """Return the bytes that each further client takes, from the fewest clients to the most that were tried."""
    tried = {clients: peak for clients, peak in peaks.items() if peak is not None}
    if len(tried) < 2:
        return None
    fewest, most = min(tried), max(tried)
    return (tried[most] - tried[fewest]) / (most - fewest)


def words(way: str) -> str:
    """Return in words how models go."""
    return way if way == WITHOUT else f"by {way}, with FLStore"


def _needed(framework: Framework, way: str, clients: int) -> int:
    """Return the bytes that a training may take on this machine."""
    return clients * ((0 if way == "reference" else MODEL_BYTES) + (0 if framework.light else SITE_BYTES))


def _free_bytes() -> int:
    """Return how much memory a new process can have, caches given up."""
    (free_kib,) = re.findall(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return 1024 * int(free_kib)


def _told(peak_bytes: int | None) -> str:
    return "not tried" if peak_bytes is None else f"{peak_bytes / 1e6:,.0f} MB"
