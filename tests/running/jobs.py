"""Small jobs and updates, made with NumPy and the safetensors library, not with the code under test."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

Arrays = dict[str, NDArray[Any]]

SCHEMA = [
    {"name": "dense.weight", "dtype": "F32", "shape": [64, 300]},
    {"name": "dense.bias", "dtype": "F32", "shape": [64]},
    {"name": "half", "dtype": "F16", "shape": [100]},
    {"name": "steps", "dtype": "I64", "shape": []},
]
PARAMETERS = 64 * 300 + 64 + 100


def arrays(seed: int) -> Arrays:
    """Return an update of `SCHEMA`."""
    rng = np.random.default_rng(seed)
    return {
        "dense.weight": rng.standard_normal((64, 300), np.float32),
        "dense.bias": rng.standard_normal(64, np.float32),
        "half": rng.standard_normal(100, np.float32).astype(np.float16),
        "steps": np.array(seed),
    }


def body(seed: int, metrics: Mapping[str, Any] | None = None) -> bytes:
    """Return an update of `SCHEMA` as the safetensors library writes it."""
    return save(arrays(seed), {"metrics": json.dumps(metrics)} if metrics else None)


def flat(seed: int) -> NDArray[np.float64]:
    """Return an update's floats in canonical order: float32 by name, then float16."""
    made = arrays(seed)
    return np.concatenate([made[name].ravel().astype(float) for name in ("dense.bias", "dense.weight", "half")])


@dataclass(frozen=True)
class JobOverHttp:
    """A job that exists, and short ways to speak of it."""

    http: httpx.Client
    name: str

    @property
    def url(self) -> str:
        return f"/v1/jobs/{self.name}"

    def client_url(self, round: int, client: str) -> str:  # noqa: A002
        return f"{self.url}/rounds/{round}/clients/{client}"

    def put(self, round: int, client: str, content: bytes, **headers: str) -> httpx.Response:  # noqa: A002
        return self.http.put(self.client_url(round, client), content=content, headers=headers)

    def put_aggregate(self, round: int, content: bytes) -> httpx.Response:  # noqa: A002
        return self.http.put(f"{self.url}/rounds/{round}/aggregate", content=content)

    def commit(self, round: int, **said: Any) -> httpx.Response:  # noqa: A002
        return self.http.post(f"{self.url}/rounds/{round}/commit", json={"allow_empty": True, **said})

    def run(self, workload: str, **params: Any) -> httpx.Response:
        return self.http.post(f"{self.url}/workloads/{workload}", json=params)

    def fill(self, round: int, clients: int, first: int = 1) -> None:  # noqa: A002
        """Have clients c0, c1, … send the updates of seeds `first`, `first` + 1, …"""
        for index in range(clients):
            answer = self.put(round, f"c{index}", body(first + index, {"num_examples": 10 + index}))
            assert answer.status_code == 201, answer.text


def create(http: httpx.Client, name: str = "", **settings: Any) -> JobOverHttp:
    """Create a job of `SCHEMA` under a name of its own."""
    job = JobOverHttp(http, name or f"job-{uuid4().hex[:12]}")
    answer = http.put(job.url, json={"schema": SCHEMA, **settings})
    assert answer.status_code == 201, answer.text
    return job


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return a problem document, having checked it against RFC 9457 and the answer that carries it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["type"].endswith(code)
    assert document["title"]
    assert document["detail"]
    assert document["instance"]
    assert document["request_id"] == answer.headers["x-request-id"]
    return document
