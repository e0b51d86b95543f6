"""Taking rounds in, against the store's own speed; and what the statistics add to it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.bench.row import Row
from tests.bench.system import CLIENTS, System, body, flstore, models, s3

AT_ONCE = 2
"""Uploads side by side, here and at the peer."""
ROUNDS = 3


def rows() -> Iterator[Row]:
    """Alternate between the peer and ours, so that a slow moment of the machine hits both."""
    base, updates = models()
    bodies = [bytes(body(arrays)) for arrays in updates]
    with s3() as server, flstore(server, "ingest", cache="2GiB") as system:
        for job, mode in (("exact", "exact"), ("off", "off")):
            system.client.create_job(job, like=base, slices=1, statistics=mode)
            system.client.put_aggregate(job, 0, bytes(body(base)))
            system.client.commit(job, 0)
        raw = exact = off = 0.0
        for number in range(1, ROUNDS + 1):
            raw += _timed(partial(_put_raw, system, number, bodies))
            exact += _round(system, "exact", number, bodies)
            off += _round(system, "off", number, bodies)
    volume = ROUNDS * sum(map(len, bodies)) / 1e6
    note = f"{volume / exact:.0f} MB/s, raw PUT {volume / raw:.0f} MB/s"
    yield Row("ingest_vs_store_put", raw / exact, "x", 0.7, "higher", note)
    yield Row(
        "statistics_ingest_share", (exact - off) / exact, "", 0.10, note=f"with {exact:.2f} s, without {off:.2f} s"
    )


def _put_raw(system: System, number: int, bodies: list[bytes], index: int) -> None:
    system.store.put(f"raw/{number}-{index}", bodies[index])


def _round(system: System, job: str, number: int, bodies: list[bytes]) -> float:
    """Return how long one round takes, its commit (and so all of its statistics) included."""
    started = time.perf_counter()
    _timed(lambda index: system.client.put_update(job, number, f"client-{index}", bodies[index]))
    system.client.commit(job, number)
    return time.perf_counter() - started


def _timed(send: Callable[[int], object]) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(send, range(CLIENTS)))
    return time.perf_counter() - started
