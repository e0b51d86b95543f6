"""A workload that reads weights, against the bare kernel on the same arrays; and slices working side by side."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.resnet import Arrays
from tests.bench.row import Row, seconds
from tests.bench.system import JOB, System, flstore, ingest_rounds, s3

Rows = Sequence[NDArray[np.float32]]
Kernel = Callable[[Rows, NDArray[np.float32]], None]
TIMES = 7
BLOCK = 65_536
"""Elements of a block, the best of those tried for both kernels."""


def rows() -> Iterator[Row]:
    """Compare the shard's own time, then one slice with two."""
    with s3() as server:
        with flstore(server, "weights-1", shards=1) as system:
            updates = ingest_rounds(system.client, 1, slices=1)
            _pin(system)
            yield _against_numpy(system, "fedavg", fedavg, updates)
            yield _against_numpy(system, "median", median, updates)
            one, one_whole = _times(system, "median")
        with flstore(server, "weights-2", shards=2) as system:
            ingest_rounds(system.client, 1, slices=2)
            _pin(system)
            two, two_whole = _times(system, "median")
        note = f"map {one:.0f} and {two:.0f} ms; with the artifact's write {one_whole:.0f} and {two_whole:.0f} ms"
        yield Row("slices2_speedup", one / two, "x", 1.6, "higher", note)


def fedavg(arrays: Rows, out: NDArray[np.float32]) -> None:
    """Write the weighted mean, block by block within the CPU's cache: the fastest plain NumPy found for it."""
    weights = np.arange(100, 100 + len(arrays), dtype=np.float32)
    weights /= weights.sum()
    scaled = np.empty(BLOCK, np.float32)
    for start in range(0, len(out), BLOCK):
        block = out[start : start + BLOCK]
        np.multiply(arrays[0][start : start + BLOCK], weights[0], out=block)
        for array, weight in zip(arrays[1:], weights[1:], strict=True):
            part = scaled[: len(block)]
            np.multiply(array[start : start + BLOCK], weight, out=part)
            block += part


def median(arrays: Rows, out: NDArray[np.float32]) -> None:
    """Write the coordinate median, block by block, by sorting: the fastest plain NumPy found for it."""
    middle = len(arrays) // 2
    for start in range(0, len(out), BLOCK):
        columns = np.stack([array[start : start + BLOCK] for array in arrays], axis=1)
        columns.sort(axis=1)
        np.add(columns[:, middle - 1], columns[:, middle], out=out[start : start + BLOCK])
        out[start : start + BLOCK] *= np.float32(0.5)


def _against_numpy(system: System, method: str, kernel: Kernel, updates: Sequence[Arrays]) -> Row:
    flat = [np.concatenate([arrays[name].ravel() for name in sorted(arrays)]) for arrays in updates]
    out = np.empty_like(flat[0])
    pairs = [
        (seconds(lambda: kernel(flat, out)), _run(system, method)["shard_compute_ms"] / 1e3) for _ in range(1 + TIMES)
    ]
    bare, ours = np.median(pairs[1:], axis=0).tolist()
    note = f"shard {1e3 * ours:.0f} ms, bare kernel {1e3 * bare:.0f} ms"
    return Row(f"weights_vs_numpy[{method}]", ours / bare, "x", 1.25, note=note)


def _times(system: System, method: str) -> tuple[float, float]:
    """Return the median milliseconds of the stage in which shards map, and of the whole."""
    runs = [_run(system, method) for _ in range(TIMES)]
    return float(np.median([run["stages_ms"]["map"] for run in runs])), float(
        np.median([run["total_ms"] for run in runs])
    )


def _run(system: System, method: str) -> dict[str, Any]:
    return dict(system.client.run_anew(JOB, "aggregate", round=1, method=method).execution)


def _pin(system: System) -> None:
    """Limit each shard to one core of its own, as far as there are cores."""
    cores = sorted(os.sched_getaffinity(0))
    for index, shard in enumerate(system.shards()):
        for thread in Path(f"/proc/{shard['pid']}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cores[index % len(cores)]})
