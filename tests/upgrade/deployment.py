"""A deployment of two gateways and a controller with its shards, each of either version, while clients use it."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np

from tests.running.jobs import JobOverHttp, body, flat
from tests.running.processes import Service, service
from tests.servers import free_ports
from tests.waiting import eventually

CLIENTS = 4
TRANSIENT = frozenset({429, 502, 503, 504})
"""What a client asks again after, also while a controller and its shards are replaced."""


class Acknowledged(NamedTuple):
    """An update that a gateway has acknowledged."""

    client: str
    content: bytes
    seed: int


@dataclass
class Deployment:
    """One store, and what runs over it."""

    store: str
    folder: Path
    env: Mapping[str, str]
    """Settings of all services of this version."""
    release: Mapping[str, str]
    """Settings that make a service one of the previous release."""
    port: int = field(default_factory=lambda: free_ports(1)[0])
    """Of every controller, one after the other: its address stays."""
    rounds: dict[int, list[Acknowledged]] = field(default_factory=dict)
    """What was acknowledged, by round."""

    @contextmanager
    def controller(self, *, old: bool) -> Iterator[Service]:
        """Run a controller of either version. It starts shards of its own version."""
        with service("services.placement", self._env(old), self.folder / "placement.log", self.port) as running:
            yield running

    @contextmanager
    def gateway(self, *, old: bool) -> Iterator[JobOverHttp]:
        """Run a gateway of either version; yield the job of all tests, asked through it."""
        placement = f"http://127.0.0.1:{self.port}"
        env = {**self._env(old), "FLSTORE_PLACEMENT_URL": placement}
        with (
            service("services.gateway", env, self.folder / f"gateway-{'old' if old else 'new'}.log") as running,
            httpx.Client(base_url=running.url, timeout=60.0) as http,
        ):
            yield JobOverHttp(http, "early")

    def _env(self, old: bool) -> dict[str, str]:
        return {**self.env, "FLSTORE_STORE": self.store, **(self.release if old else {})}

    def fill(self, number: int, gateways: list[JobOverHttp]) -> None:
        """Have every client send an update, half of them to each gateway, and read it back through the other one."""
        with ThreadPoolExecutor(CLIENTS) as clients:
            acknowledged = list(clients.map(lambda index: self._send(number, index, gateways), range(CLIENTS)))
        self.rounds[number] = acknowledged
        content = body(aggregate_of(number))
        assert insist(gateways, number, lambda job: job.put_aggregate(number, content)).status_code in (200, 201)

    def _send(self, number: int, index: int, gateways: list[JobOverHttp]) -> Acknowledged:
        client, seed = f"c{index}", 100 * number + index
        content = body(seed, {"num_examples": 10 + index})
        stored = insist(gateways, index, lambda job: job.put(number, client, content))
        assert stored.status_code in (200, 201), stored.text
        read = insist(gateways, index + 1, lambda job: job.http.get(job.client_url(number, client)))
        assert read.content == content, read.text[:500]
        return Acknowledged(client, content, seed)

    def commit(self, number: int, gateways: list[JobOverHttp]) -> None:
        """Commit a round through the first gateway that answers."""
        answer = insist(gateways, number, lambda job: job.http.post(f"{job.url}/rounds/{number}/commit", json={}))
        assert answer.status_code == 200, answer.text

    def tells(self, job: JobOverHttp, client: str) -> bool:
        """Return whether a gateway still names a client in any round; it learns of erasures elsewhere later."""
        return any(f'"{client}"' in job.http.get(f"{job.url}/rounds/{number}").text for number in self.rounds)

    def verify(self, gateways: list[JobOverHttp], without: str = "") -> None:
        """Check through each gateway that all that was acknowledged can be read and is counted.

        Args:
            without: a client that has been erased.
        """
        for number, updates in self.rounds.items():
            left = [each for each in updates if each.client != without]
            for job in gateways:
                record = job.http.get(f"{job.url}/rounds/{number}").json()
                assert [member["client"] for member in record["members"]] == [each.client for each in left]
                for each in left:
                    assert job.http.get(job.client_url(number, each.client)).content == each.content
                answer = insist([job], 0, lambda job: job.run("cosine-similarity", round=number))  # noqa: B023
                assert answer.status_code == 200, answer.text
                check_similarity(answer.json()["result"], record["base"], left)


def aggregate_of(number: int) -> int:
    """Return the seed of a round's aggregate."""
    return 100 * number + 99


def check_similarity(result: Mapping[str, Any], base: int | None, updates: list[Acknowledged]) -> None:
    """Compare cosine similarities with what NumPy makes of the updates by the definition."""
    start = flat(aggregate_of(base)) if base is not None else 0.0
    deltas = np.array([flat(each.seed) - start for each in updates])
    deltas /= np.linalg.norm(deltas, axis=1, keepdims=True)
    assert result["clients"] == [each.client for each in updates]
    np.testing.assert_allclose(result["matrix"], deltas @ deltas.T, atol=1e-6)


def insist(gateways: list[JobOverHttp], first: int, call: Callable[[JobOverHttp], httpx.Response]) -> httpx.Response:
    """Call one gateway after the other until one answers for good, and return that answer."""
    answers: list[httpx.Response | None] = []

    def is_answered() -> bool:
        try:
            answers.append(call(gateways[(first + len(answers)) % len(gateways)]))
        except httpx.TransportError:
            answers.append(None)
        return (answer := answers[-1]) is not None and answer.status_code not in TRANSIENT

    eventually(is_answered, 60.0)
    answer = answers[-1]
    assert answer is not None
    return answer
