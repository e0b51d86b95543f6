"""`make e2e`: run every step against the cluster, print what each took, and stop at the first that fails."""

import os
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from flstore_core.client import FLStore
from tests.e2e import steps
from tests.e2e.cluster import Cluster
from tests.servers import wait_until

LEFT_WITHIN_S = 180.0
MEND_WITHIN_S = 180.0


def main() -> int:
    kubeconfig = os.environ.get("FLSTORE_E2E_KUBECONFIG")
    if not kubeconfig:
        sys.stderr.write("FLSTORE_E2E_KUBECONFIG is not set: name a cluster with Knative Serving, or run `make kind`\n")
        return 2
    cluster = Cluster(Path(kubeconfig), f"flstore-e2e-{uuid.uuid4().hex[:6]}")
    with ExitStack() as stack:
        stack.callback(cluster.remove_namespace)
        _run(cluster, _values())
    return 0


def _run(cluster: Cluster, values: dict[str, Any]) -> None:
    step("install", lambda: cluster.install(values))
    step("helm test", lambda: cluster.test().strip().splitlines()[-1])
    with cluster.gateway() as url, FLStore(url, retries=8) as store:
        for name in ("ingest", "ask", "reach_zero"):
            step(name.replace("_", " "), partial(getattr(steps, name), store))
        step("pods gone", partial(wait_until, lambda: cluster.is_free_of("shard"), "no shard's pod", MEND_WITHIN_S))
        for name in ("cold_start", "warm_statistics"):
            step(name.replace("_", " "), partial(getattr(steps, name), store))
        step("kill a shard", partial(kill_a_shard, cluster, store))
        step("evict gateway and controller", partial(evict, cluster))
    with cluster.gateway() as url, FLStore(url, retries=8) as store:
        step("ask after eviction", partial(steps.ask, store))
    step("upgrade", lambda: cluster.upgrade({**values, "logLevel": "DEBUG"}))
    with cluster.gateway() as url, FLStore(url, retries=8) as store:
        step("ask after upgrade", partial(steps.ask, store))
    step("uninstall", cluster.uninstall)
    step("nothing is left", partial(nothing_left, cluster))


def step(name: str, act: Callable[[], object]) -> None:
    """Do one step and print its time and what it found."""
    started = time.monotonic()
    found = act()
    sys.stdout.write(f"{name:30} {time.monotonic() - started:7.1f} s   {found or ''}\n")
    sys.stdout.flush()


def kill_a_shard(cluster: Cluster, store: FLStore) -> str:
    """End an awake shard's pod without grace; the same question has to be answered."""
    steps.ask(store)
    wait_until(
        lambda: bool(cluster.pods("shard")), "a shard's pod being ready", MEND_WITHIN_S
    )  # it answers before that
    victim = cluster.pods("shard")[0]
    cluster.kill(victim)
    steps.ask(store)
    return f"{victim} ended, answered all the same"


def evict(cluster: Cluster) -> None:
    """Have the pods moved as a drained node would, within the disruption budget."""
    for component in ("gateway", "placement"):
        before = cluster.pods(component)
        cluster.evict(before[0])
        wait_until(partial(_moved, cluster, component, before), f"{component} coming back", MEND_WITHIN_S)


def _moved(cluster: Cluster, component: str, before: list[str]) -> bool:
    now = cluster.pods(component)
    return before[0] not in now and len(now) >= len(before)


def nothing_left(cluster: Cluster) -> str:
    """Wait until everything of the release is gone, data included, since the values asked for that."""
    wait_until(
        lambda: not cluster.leftovers(), f"an empty namespace, but {cluster.leftovers()} being left", LEFT_WITHIN_S
    )
    return "objects, volumes and shards are gone"


def _values() -> dict[str, Any]:
    """Return the given values; what is measured here is to leave nothing behind, and to be at zero soon."""
    path = os.environ.get("FLSTORE_E2E_VALUES")
    given: dict[str, Any] = (yaml.safe_load(Path(path).read_text()) or {}) if path else {}
    store = {**given.get("objectStore", {}), "keepData": False}
    shards = {"stableWindow": "15s", "retention": "0s", **given.get("shards", {})}
    return {**given, "objectStore": store, "shards": shards}


if __name__ == "__main__":
    sys.exit(main())
