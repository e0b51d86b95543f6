"""Small requests: one gateway process under many keep-alive connections."""

import asyncio
import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np

from flstore_core.client import FLStore
from tests.bench.row import Row
from tests.bench.system import flstore, s3

CONNECTIONS = 16
REQUESTS = 4000
JOB = "small"


def rows() -> Iterator[Row]:
    """Ask for the similarities of a small committed round, as fast as they are answered."""
    with s3() as server, flstore(server, "throughput") as system:
        _ingest(system.client)
        asyncio.run(_load(system.url, REQUESTS // 8))
        latencies, elapsed = asyncio.run(_load(system.url, REQUESTS))
    p99 = 1e3 * float(np.percentile(latencies, 99))
    yield Row("small_requests_per_s", REQUESTS / elapsed, "1/s", 1000.0, "higher", f"{CONNECTIONS} connections")
    yield Row("small_requests_p99_ms", p99, "ms", 25.0, note=f"median {1e3 * float(np.median(latencies)):.1f} ms")


def _ingest(client: FLStore) -> None:
    rng = np.random.default_rng(0)
    model = {"w": rng.standard_normal((64, 10)).astype(np.float32)}
    client.create_job(JOB, like=model)
    for index in range(10):
        client.put_update(JOB, 1, f"client-{index}", {"w": model["w"] + rng.standard_normal((64, 10), np.float32)})
    client.commit(JOB, 1)


async def _load(url: str, total: int) -> tuple[list[float], float]:
    """Return each request's seconds and those of all together."""
    started = time.perf_counter()
    parts = await asyncio.gather(*(_connection(url, total // CONNECTIONS) for _ in range(CONNECTIONS)))
    return [latency for part in parts for latency in part], time.perf_counter() - started


async def _connection(url: str, count: int) -> list[float]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = json.dumps({"round": 1}).encode()
    head = f"POST /v1/jobs/{JOB}/workloads/cosine-similarity HTTP/1.1\r\nHost: {address.netloc}\r\n"
    message = head.encode() + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    latencies = []
    for _ in range(count):
        started = time.perf_counter()
        writer.write(message)
        header = await reader.readuntil(b"\r\n\r\n")
        if not header.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(header.decode())
        length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - started)
    writer.close()
    return latencies
