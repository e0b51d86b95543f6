"""What the programs against a cluster share: its namespace, the values they install with, and how a step is told."""

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.cluster import Cluster
from tests.servers import wait_until

LEFT_WITHIN_S = 180.0
MEND_WITHIN_S = 180.0


@contextmanager
def cluster_of_its_own(kubeconfig: str) -> Iterator[Cluster]:
    """Yield a new namespace of the cluster, and remove it with everything in it at the end."""
    cluster = Cluster(Path(kubeconfig), f"flstore-e2e-{uuid.uuid4().hex[:6]}")
    try:
        yield cluster
    finally:
        cluster.remove_namespace()


def values() -> dict[str, Any]:
    """Return the given values; what is measured is to leave nothing behind, and to be at zero soon."""
    path = os.environ.get("FLSTORE_E2E_VALUES")
    given: dict[str, Any] = (yaml.safe_load(Path(path).read_text()) or {}) if path else {}
    store = {**given.get("objectStore", {}), "keepData": False}
    shards = {"stableWindow": "15s", "retention": "0s", **given.get("shards", {})}
    return {**given, "objectStore": store, "shards": shards}


def step(name: str, act: Callable[[], object]) -> None:
    """Do one step and print its time and what it found."""
    started = time.monotonic()
    found = act()
    sys.stdout.write(f"{name:30} {time.monotonic() - started:7.1f} s   {found or ''}\n")
    sys.stdout.flush()


def replace(cluster: Cluster, component: str, remove: Callable[[str], None]) -> str:
    """Have a pod removed, and return its name once as many serve as before, without it."""
    before = cluster.lives(component)
    victim = next(iter(before))
    remove(victim)
    wait_until(partial(_is_replaced, cluster, component, before), f"{component} coming back", MEND_WITHIN_S)
    return victim


def _is_replaced(cluster: Cluster, component: str, before: dict[str, str]) -> bool:
    now = cluster.lives(component)
    return next(iter(before.values())) not in now.values() and len(now) >= len(before)


def nothing_left(cluster: Cluster) -> str:
    """Wait until everything of the release is gone, data included, since the values asked for that."""
    wait_until(
        lambda: not cluster.leftovers(), f"an empty namespace, but {cluster.leftovers()} being left", LEFT_WITHIN_S
    )
    return "objects, volumes and shards are gone"
