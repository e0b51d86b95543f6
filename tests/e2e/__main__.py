"""`make e2e`: run every step against the cluster, print what each took, and stop at the first that fails."""

import os
import sys
from functools import partial
from typing import Any

from flstore_core.client import FLStore
from tests.e2e import steps
from tests.e2e.cluster import Cluster
from tests.e2e.program import MEND_WITHIN_S, cluster_of_its_own, nothing_left, replace, step, values
from tests.servers import wait_until


def main() -> int:
    kubeconfig = os.environ.get("FLSTORE_E2E_KUBECONFIG")
    if not kubeconfig:
        sys.stderr.write("FLSTORE_E2E_KUBECONFIG is not set: name a cluster with Knative Serving, or run `make kind`\n")
        return 2
    with cluster_of_its_own(kubeconfig) as cluster:
        _run(cluster, values())
    return 0


def _run(cluster: Cluster, given: dict[str, Any]) -> None:
    step("install", lambda: cluster.install(given))
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
    step("upgrade", lambda: cluster.upgrade({**given, "logLevel": "DEBUG"}))
    with cluster.gateway() as url, FLStore(url, retries=8) as store:
        step("ask after upgrade", partial(steps.ask, store))
    step("uninstall", cluster.uninstall)
    step("nothing is left", partial(nothing_left, cluster))


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
        replace(cluster, component, cluster.evict)


if __name__ == "__main__":
    sys.exit(main())
