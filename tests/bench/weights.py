"""A workload that reads weights, against the bare kernel on the same arrays; and slices working side by side."""

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.bench.resnet import Arrays
from tests.bench.row import Row, median_seconds
from tests.bench.system import JOB, System, flstore, ingest_rounds, s3

Rows = Sequence[NDArray[np.float32]]
TIMES = 7


def rows() -> Iterator[Row]:
    """Compare the shard's own time, then one slice with two."""
    with s3() as server:
        with flstore(server, "weights-1", shards=1) as system:
            updates = ingest_rounds(system.client, 1, slices=1)
            _pin(system)
            yield _against_numpy(system, "fedavg", fedavg, updates)
            yield _against_numpy(system, "median", median, updates)
            one = _latency(system, "median")
        with flstore(server, "weights-2", shards=2) as system:
            ingest_rounds(system.client, 1, slices=2)
            _pin(system)
            two = _latency(system, "median")
        note = f"median of 10: {1e3 * one:.0f} ms in one slice, {1e3 * two:.0f} ms in two"
        yield Row("slices2_speedup", one / two, "x", 1.6, "higher", note)


def fedavg(arrays: Rows) -> NDArray[np.float32]:
    """Return the weighted mean, block by block within the cache, as the fastest plain NumPy does it."""
    weights = np.arange(100, 100 + len(arrays), dtype=np.float32)
    weights /= weights.sum()
    out = np.empty_like(arrays[0])
    block = np.empty((len(arrays), 16384), np.float32)
    for start in range(0, len(out), 16384):
        stop = min(start + 16384, len(out))
        for row, array in zip(block, arrays, strict=True):
            row[: stop - start] = array[start:stop]
        np.dot(weights, block[:, : stop - start], out=out[start:stop])
    return out


def median(arrays: Rows) -> NDArray[np.float32]:
    """Return the coordinate median, block by block, by sorting."""
    out = np.empty_like(arrays[0])
    middle = len(arrays) // 2
    block = np.empty((len(arrays), 4096), np.float32)
    for start in range(0, len(out), 4096):
        stop = min(start + 4096, len(out))
        part = block[:, : stop - start]
        for row, array in zip(part, arrays, strict=True):
            row[:] = array[start:stop]
        part.sort(axis=0)
        np.add(part[middle - 1], part[middle], out=out[start:stop])
        out[start:stop] *= 0.5
    return out


def _against_numpy(
    system: System, method: str, kernel: Callable[[Rows], NDArray[np.float32]], updates: Sequence[Arrays]
) -> Row:
    flat = [np.concatenate([arrays[name].ravel() for name in sorted(arrays)]) for arrays in updates]
    bare = median_seconds(lambda: kernel(flat), TIMES)
    spent = [_run(system, method)["shard_compute_ms"] / 1e3 for _ in range(TIMES)]
    ours = float(np.median(spent))
    note = f"shard {1e3 * ours:.0f} ms, bare kernel {1e3 * bare:.0f} ms"
    return Row(f"weights_vs_numpy[{method}]", ours / bare, "x", 1.25, note=note)


def _latency(system: System, method: str) -> float:
    return median_seconds(lambda: _run(system, method), TIMES)


def _run(system: System, method: str) -> dict[str, float]:
    execution: dict[str, float] = dict(system.client.run_anew(JOB, "aggregate", round=1, method=method).execution)
    return execution


def _pin(system: System) -> None:
    """Limit each shard to one core of its own, as far as there are cores."""
    cores = sorted(os.sched_getaffinity(0))
    for index, shard in enumerate(system.shards()):
        os.sched_setaffinity(int(str(shard["pid"])), {cores[index % len(cores)]})
