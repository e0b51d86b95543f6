"""`make e2e-chaos`: flood the platform, break each of its parts under load, and see that nothing acknowledged is lost.

The gateway is reached by FLSTORE_E2E_URL, a Service's address: `kubectl port-forward` holds on to one pod.
"""

import json
import os
import sys
import time
from functools import partial
from typing import Any

from flstore_core.client import FLStore
from tests.e2e import program, steps, storms
from tests.e2e.answers import Answers, Watched
from tests.e2e.cluster import Cluster
from tests.e2e.ledger import Ledger
from tests.e2e.program import step
from tests.servers import wait_until

VICTIMS = ("store", "gateway", "placement", "shard")
GATEWAYS, CONNECTIONS = 3, 96
SPREAD_WITHIN_S, COUNTED_S, LEAST_SHARE = 30.0, 20.0, 0.5
FIRED = 'count by (alertname) (max_over_time(ALERTS{alertstate="firing"}[2h]))'


def main() -> int:
    kubeconfig, url = (os.environ.get(f"FLSTORE_E2E_{name}") for name in ("KUBECONFIG", "URL"))
    if not kubeconfig or not url:
        sys.stderr.write(
            "Set FLSTORE_E2E_KUBECONFIG, a cluster with Knative Serving, and FLSTORE_E2E_URL, its gateway\n"
        )
        return 2
    with program.cluster_of_its_own(kubeconfig) as cluster:
        Chaos(cluster, url).run(program.values())
    return 0


class Chaos:
    """A release, and all that is known of it from outside: what it acknowledged, and what it answered."""

    def __init__(self, cluster: Cluster, url: str) -> None:
        self._cluster, self._url = cluster, url
        self._answers, self._ledger = Answers(), Ledger()
        self._flood = storms.Flood(url, self._answers, self._ledger)

    def run(self, values: dict[str, Any]) -> None:
        step("install", partial(self._cluster.install, values))
        with Watched(self._url, self._answers) as store:
            step("ingest", partial(steps.ingest, store))
            step("ask", partial(steps.ask, store))
            step("retention changed while awake", partial(self._change_retention, store))
            step("job deleted and made again", partial(storms.remake, store))
            storms.create_job(store)
            step(f"{storms.CLIENTS} clients at once", self._first_flood)
            for number, victim in enumerate(VICTIMS, 2):
                step(f"{victim} killed under load", partial(self._kill, store, number, victim))
            step("commit", partial(self._commit, store))
            step("one to three gateways", self._spread)
            step("read everything back", partial(self._ledger.read_back, store))
        step("answers", self._judge_answers)
        step("alerts", self._judge_alerts)
        step("uninstall", self._cluster.uninstall)
        step("nothing is left", partial(program.nothing_left, self._cluster))

    def _first_flood(self) -> str:
        said = self._flood.run(1)
        if restarts := self._cluster.restarts("store"):
            raise AssertionError(f"the store was restarted {restarts} times by {said}")
        return said

    def _kill(self, store: FLStore, number: int, victim: str) -> str:
        """End a part while a round arrives; the round has to arrive, and questions have to be answered."""
        if victim == "shard":
            steps.ask(store)
            wait_until(lambda: bool(self._cluster.pods("shard")), "a shard's pod being ready", program.MEND_WITHIN_S)
        said = self._flood.run(number, partial(program.replace, self._cluster, victim, self._cluster.kill))
        steps.ask(store)
        return said

    def _commit(self, store: FLStore) -> str:
        numbers = range(1, len(VICTIMS) + 2)
        return ", ".join(storms.commit(store, self._ledger, number) for number in numbers)

    def _change_retention(self, store: FLStore) -> str:
        """Declare when rounds come, and take it back; no awake shard may be replaced for that."""
        wait_until(lambda: bool(self._cluster.pods("shard")), "a shard's pod being ready", program.MEND_WITHIN_S)
        before = self._cluster.pods("shard")
        for interval in ("5m", None):
            self._cluster.change_job(steps.JOB, {"roundInterval": interval})
            for _ in range(5):
                steps.ask(store)
                time.sleep(1)
        if (after := self._cluster.pods("shard")) != before:
            raise AssertionError(f"{before} became {after}")
        return f"{', '.join(after)} stayed"

    def _spread(self) -> str:
        """Add gateways while clients keep their connections; each has to get its part of the load."""
        with storms.Readers(self._url, self._answers, CONNECTIONS, pause_s=0.5):
            self._cluster.scale("gateway", GATEWAYS)
            wait_until(lambda: len(self._cluster.pods("gateway")) == GATEWAYS, "three gateways", program.MEND_WITHIN_S)
            time.sleep(SPREAD_WITHIN_S)
            before = self._count_requests()
            time.sleep(COUNTED_S)
            share = storms.evenness(before, after := self._count_requests())
        told = ", ".join(f"{after[pod] - before[pod]:.0f}" for pod in after)
        if share < LEAST_SHARE:
            raise AssertionError(f"the idlest gateway had {share:.0%} of a fair share: {told} requests")
        return f"{told} requests, the idlest {share:.0%} of a fair share"

    def _count_requests(self) -> dict[str, float]:
        return {
            pod: storms.requests_in(self._cluster.read(pod, 8080, "metrics")) for pod in self._cluster.pods("gateway")
        }

    def _judge_answers(self) -> str:
        if flaws := self._answers.flaws:
            raise AssertionError(f"{len(flaws)} errors say less than they should: {flaws[:5]}")
        return self._answers.since(type(self._answers.counts)())

    def _judge_alerts(self) -> str:
        """Ask the bundled Prometheus which alerts fired: no part was away for long, so that none should have."""
        [pod] = self._cluster.pods("prometheus")
        answer = json.loads(self._cluster.read(pod, 9090, "api/v1/query", query=FIRED))
        if fired := [series["metric"]["alertname"] for series in answer["data"]["result"]]:
            raise AssertionError(f"false alerts: {', '.join(fired)}")
        return "none fired"


if __name__ == "__main__":
    sys.exit(main())
