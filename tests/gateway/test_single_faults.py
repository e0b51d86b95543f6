"""One fault at a time: no call of a store, shard or controller that fails once makes a route answer `internal`.

Each request is made once with nothing amiss, to count the calls behind it. Then it is made again for each of these
calls and each way to fail, every time by a gateway that has just been started over the same stored rounds.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import urllib3
from fastapi import FastAPI
from safetensors.numpy import save
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from flstore_core.errors import FLStoreError, StoreUnavailable
from flstore_core.shard.protocol import WORK_HEADER
from flstore_core.storage import ObjectInfo
from services.common.proof import Keys, new_key
from services.gateway.app import create_app
from tests.fakes.clock import FakeTime
from tests.fakes.store import Call, MemoryStore
from tests.fakes.wire import FakeWire, Reply, Sent
from tests.gateway.world import TENSORS, World, body, world

DOCUMENTED: Mapping[str, tuple[int, bool]] = {
    code: (int(status), helps == "yes")
    for code, status, helps in re.findall(
        r"^\| `([a-z-]+)` \| (\d+) \| (yes|no) \|",
        (Path(__file__).parents[2] / "docs" / "errors.md").read_text(),
        re.MULTILINE,
    )
}
"""Code → status, and whether a retry helps."""

KEYS = Keys.parse(new_key())
JOB = "/v1/jobs/job"
JSON = {"content-type": "application/json"}
SAFETENSORS = {"content-type": "application/octet-stream"}


@dataclass(frozen=True)
class Ask:
    """One request."""

    method: str
    path: str
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def with_json(method: str, path: str, /, **values: Any) -> Ask:
    return Ask(method, path, json.dumps(values).encode(), JSON)


def question(workload: str, /, **params: Any) -> Ask:
    return with_json("POST", f"{JOB}/workloads/{workload}", **params)


ASKS = [
    with_json("PUT", "/v1/jobs/new", schema=TENSORS),
    with_json("PUT", JOB, schema=TENSORS),
    Ask("GET", "/v1/jobs"),
    Ask("GET", JOB),
    Ask("DELETE", JOB),
    Ask("DELETE", f"{JOB}/clients/c0"),
    Ask("GET", f"{JOB}/datasets"),
    Ask("PUT", f"{JOB}/datasets/new", save({"inputs": np.ones((2, 3), np.float32)}), SAFETENSORS),
    Ask("GET", f"{JOB}/datasets/test"),
    Ask("DELETE", f"{JOB}/datasets/test"),
    Ask("GET", f"{JOB}/artifacts/ARTIFACT"),
    Ask("DELETE", f"{JOB}/artifacts/ARTIFACT"),
    Ask("PUT", f"{JOB}/rounds/2/clients/c9", body(9), SAFETENSORS),
    Ask("PUT", f"{JOB}/rounds/3/clients/c0", body(9), SAFETENSORS),
    Ask("PUT", f"{JOB}/rounds/2/aggregate", body(9), SAFETENSORS),
    Ask("DELETE", f"{JOB}/rounds/2/clients/c0"),
    Ask("DELETE", f"{JOB}/rounds/2"),
    with_json("POST", f"{JOB}/rounds/2/commit"),
    with_json("POST", f"{JOB}/rounds/2/aggregate"),
    with_json("POST", f"{JOB}/rounds/2/tickets", clients=["c0"], verb="update", seconds=60),
    Ask("GET", f"{JOB}/rounds"),
    Ask("GET", f"{JOB}/rounds/1"),
    Ask("GET", f"{JOB}/rounds/2"),
    Ask("GET", f"{JOB}/rounds/1/clients/c0"),
    Ask("GET", f"{JOB}/rounds/0/aggregate"),
    Ask("GET", f"{JOB}/metadata"),
    Ask("GET", "/v1/placement"),
    Ask("GET", "/v1/cache"),
    Ask("GET", "/v1/cache/explain?shard=shard-0&key=job/1/c0/0"),
    Ask("GET", "/readyz"),
    Ask("GET", "/v1/workloads"),
    question("inspect"),
    question("inspect", round=1),
    question("cosine-similarity", round=1),
    question("aggregate", round=1, method="median"),
    question("malicious-filter", round=1),
    question("metrics"),
    question("provenance", round=1),
    question("reputation", client="c0"),
    Ask("POST", f"{JOB}/workloads/clustering", b"{}", {**JSON, "prefer": "respond-async"}),
]


class FaultyStore(MemoryStore):
    """A store of which one call fails, in one way."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self.calls = 0
        self.fails_at, self.way = 0, ""
        self.before, self.after = self._before, self._after

    def arm(self, fails_at: int, way: str) -> None:
        self.calls, self.fails_at, self.way = 0, fails_at, way

    def _before(self, call: Call) -> None:
        self.calls += 1
        if self.calls == self.fails_at and self.way == "no answer":
            raise StoreUnavailable("the store does not answer")

    def _after(self, call: Call) -> None:
        if self.calls == self.fails_at and self.way == "answer lost":
            raise StoreUnavailable("the store's answer was lost")

    def _read(self, method: str, key: str) -> tuple[bytes, ObjectInfo]:
        data, info = super()._read(method, key)
        if self.calls == self.fails_at:
            data = {"half body": data[: len(data) // 2], "garbage": b"\x00{garbage"}.get(self.way, data)
        return data, info


STORE_WAYS = ("no answer", "answer lost", "half body", "garbage")


def raised(error: Exception) -> Callable[[Reply], Reply]:
    def fail(reply: Reply) -> Reply:
        raise error

    return fail


def cut(reply: Reply) -> Reply:
    """Return a reply with half of its body, of which its length still says the whole."""
    whole = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
    return Reply([whole[: len(whole) // 2]], reply.status, {**reply.headers, "Content-Length": str(len(whole) or 9)})


WIRE_WAYS: Mapping[str, Callable[[Reply], Reply]] = {
    "timeout": raised(ReadTimeoutError(None, "", "timed out")),  # type: ignore[arg-type]
    "connection reset": raised(ProtocolError("Connection aborted.", ConnectionResetError())),
    "500": lambda reply: Reply(b"Internal Server Error", 500, {"Content-Type": "text/plain"}),
    "500 of its own": lambda reply: Reply.problem(FLStoreError("a defect")),
    "503": lambda reply: Reply(b"no healthy upstream", 503),
    "404": lambda reply: Reply(b"", 404),
    "half body": cut,
    "malformed JSON": lambda reply: Reply(b'{"jobs": [', reply.status, {"Content-Type": "application/json"}),
    "another object": lambda reply: Reply.of({"message": "hello"}),
    "garbage": lambda reply: Reply(b"garbage", 200, {**reply.headers, WORK_HEADER: "{}", "Content-Length": "7"}),
    "wrong length": lambda reply: Reply(reply.body, reply.status, {**reply.headers, "Content-Length": "5"}),
}


class FaultyWire(FakeWire):
    """Connections of which one request fails, in one way; those of all services count together."""

    def __init__(self, answer: Callable[[Sent], Reply], faults: "Faults") -> None:
        def amiss(sent: Sent) -> Reply:
            reply = answer(sent)
            faults.calls += 1
            return WIRE_WAYS[faults.way](reply) if faults.calls == faults.fails_at else reply

        super().__init__(amiss)


@dataclass
class Faults:
    """Which request over any wire fails, and how."""

    calls: int = 0
    fails_at: int = 0
    way: str = ""


@dataclass
class Bench:
    """The application, and what its gateways find stored."""

    app: FastAPI
    stored: dict[str, tuple[bytes, ObjectInfo]]
    artifact: str
    """Path of a model that a workload made."""

    def started(self) -> tuple[World, FaultyStore, Faults]:
        """Put a gateway that has just been started behind the application."""
        time, faults = FakeTime(), Faults()
        store = FaultyStore(time.now)
        store._objects.update(self.stored)
        wire: Callable[[Callable[[Sent], Reply]], urllib3.PoolManager] = partial(FaultyWire, faults=faults)
        gateway = world(store=store, time=time, wire=wire, keys=KEYS)
        gateway.state.backends.placement.place(gateway.job.id)
        self.app.state.gateway = gateway.state
        store.calls = faults.calls = 0
        return gateway, store, faults

    async def ask(self, ask: Ask) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            path = self.artifact if "ARTIFACT" in ask.path else ask.path
            return await client.request(ask.method, path, content=ask.content, headers=dict(ask.headers))


@pytest.fixture(scope="module")
def bench() -> Bench:
    gateway = world()
    gateway.create()
    gateway.put_aggregate(0, 50)
    gateway.commit(0)
    gateway.fill(1, 4)
    gateway.put_aggregate(1, 51)
    gateway.commit(1)
    artifact = gateway.run("aggregate", round=1, method="krum", byzantine=0).result["artifact"]["href"]
    gateway.fill(2, 3)
    gateway.state.programs.put_dataset(gateway.job, "test", memoryview(save({"inputs": np.ones((2, 3), np.float32)})))
    return Bench(create_app(gateway.state), gateway.store._objects, artifact)


def flaw(answer: httpx.Response) -> str:
    """Return what is wrong with an answer; "" if it is one that a caller can work with."""
    if answer.status_code < 400:
        return ""
    if answer.headers["content-type"] != "application/problem+json":
        return f"{answer.status_code} {answer.text[:200]}"
    problem = answer.json()
    code = problem["code"]
    if code == FLStoreError.code or DOCUMENTED.get(code, (0,))[0] != answer.status_code:
        return f"{answer.status_code} {code}: {problem['detail']}"
    return (
        "" if DOCUMENTED[code][1] == ("retry-after" in answer.headers) else f"{code}: Retry-After is not as documented"
    )


@pytest.mark.parametrize("ask", ASKS, ids=str)
async def test_no_single_fault_makes_a_route_answer_internal(bench: Bench, ask: Ask) -> None:
    _, store, faults = bench.started()
    answer = await bench.ask(ask)
    assert answer.status_code < 400, answer.text
    store_calls, wire_calls = store.calls, faults.calls
    flaws = []
    for way in STORE_WAYS:
        for index in range(1, store_calls + 1):
            _, store, _ = bench.started()
            store.arm(index, way)
            if wrong := flaw(await bench.ask(ask)):
                flaws.append(f"store call {index}, {way}: {wrong}")
    for way in WIRE_WAYS:
        for index in range(1, wire_calls + 1):
            _, _, faults = bench.started()
            faults.fails_at, faults.way = index, way
            if wrong := flaw(await bench.ask(ask)):
                flaws.append(f"call {index} of a service, {way}: {wrong}")
    assert not flaws, "\n".join(flaws)
