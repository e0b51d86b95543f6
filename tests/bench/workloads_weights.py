"""The aggregates' kernels, as a shard runs them over a whole ResNet18 of ten clients, against the best plain NumPy.

Each is timed by itself, in turn with its peer, so that what else the machine does falls on both.
"""

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core import buffers
from flstore_core.flat import FlatView
from flstore_core.ids import ClientId
from flstore_core.schema import Schema, TensorSpec
from flstore_core.workloads import SliceMember, SliceView
from flstore_core.workloads.aggregate import Aggregate, AggregateParams
from tests.bench.resnet import shapes
from tests.bench.row import Row, seconds
from tests.bench.weights import BLOCK
from tests.bench.weights import median as fill_median

Rows = Sequence[NDArray[np.float32]]
Kernel = Callable[[Rows], NDArray[np.float32]]

CLIENTS = 10
TIMES = 5
NOISE = 0.5
MEMORY = 2**28
"""Bytes of used memory that a shard of 2 GiB keeps."""
SMALL_BLOCK = 16_384


def rows() -> Iterator[Row]:
    """Compare each rule with its peer."""
    buffers.keep(MEMORY)
    arrays = _models()
    for name, params, weight, kernel in _cases():
        chosen = arrays[:8] if name == "bulyan" else arrays
        view, asked = _view(chosen, weight), AggregateParams(**params)
        _agree(name, view, asked, kernel, chosen)
        pairs = [(seconds(lambda: Aggregate().map(view, asked)), seconds(lambda: kernel(chosen))) for _ in range(TIMES)]  # noqa: B023
        ours, bare = (median(column) for column in zip(*pairs, strict=True))
        note = f"map {1e3 * ours:.0f} ms, NumPy {1e3 * bare:.0f} ms"
        yield Row(f"weights_workloads_vs_numpy[{name}]", ours / bare, "x", 1.5, note=note)


def weighted_mean(arrays: Rows) -> NDArray[np.float32]:
    """Return the mean, block by block within the CPU's cache."""
    out = np.empty_like(arrays[0])
    share = np.float32(1 / len(arrays))
    for start in range(0, len(out), BLOCK):
        block = out[start : start + BLOCK]
        np.multiply(arrays[0][start : start + BLOCK], share, out=block)
        for array in arrays[1:]:
            block += array[start : start + BLOCK] * share
    return out


def noisy_mean(arrays: Rows) -> NDArray[np.float32]:
    """Return the mean and Gaussian noise, from the fastest generator NumPy has, block by block."""
    out, generator = weighted_mean(arrays), np.random.Generator(np.random.SFC64(0))
    noise = np.empty(BLOCK, np.float32)
    for start in range(0, len(out), BLOCK):
        block = out[start : start + BLOCK]
        part = generator.standard_normal(out=noise[: len(block)], dtype=np.float32)
        part *= np.float32(NOISE / len(arrays))
        block += part
    return out


def coordinate_median(arrays: Rows) -> NDArray[np.float32]:
    """Return the median, as the benchmark of a whole shard has it."""
    out = np.empty_like(arrays[0])
    fill_median(arrays, out)
    return out


def trimmed_mean(arrays: Rows) -> NDArray[np.float32]:
    """Return the mean without the least and the greatest value, which are carried along block by block.

    The sum minus minimum and maximum is faster, and no answer: next to a wild value it loses all others' digits.
    """
    out = np.empty_like(arrays[0])
    for start in range(0, len(out), SMALL_BLOCK):
        block = out[start : start + SMALL_BLOCK]
        first, second, *others = (array[start : start + SMALL_BLOCK] for array in arrays)
        least, greatest, kept = np.minimum(first, second), np.maximum(first, second), np.empty_like(first)
        block[:] = 0
        for values in others:
            np.maximum(least, values, out=kept)
            np.minimum(least, values, out=least)
            block += np.minimum(greatest, kept)
            np.maximum(greatest, kept, out=greatest)
        block *= np.float32(1 / len(others))
    return out


def around_median(arrays: Rows) -> NDArray[np.float32]:
    """Return the mean of the 6 of 8 values nearest the median, from sorted columns."""
    out = np.empty_like(arrays[0])
    for start in range(0, len(out), BLOCK):
        columns = np.stack([array[start : start + BLOCK] for array in arrays], axis=1)
        columns.sort(axis=1)
        both = columns[:, 3] + columns[:, 4]
        total = columns[:, 2:6].sum(axis=1)
        for low, high in ((0, 6), (1, 7)):
            total += np.where(columns[:, low] + columns[:, high] < both, columns[:, high], columns[:, low])
        np.multiply(total, np.float32(1 / 6), out=out[start : start + BLOCK])
    return out


def _cases() -> Sequence[tuple[str, dict[str, Any], float, Kernel]]:
    """Return name, parameters, each row's weight, and peer of each rule."""
    even = 1 / CLIENTS
    noisy = {"method": "clipped-mean", "clip": 1.0, "noise": NOISE}
    return [
        ("fedavg", {}, even, weighted_mean),
        ("geometric-median", {"method": "geometric-median"}, even, weighted_mean),
        ("median", {"method": "median"}, even, coordinate_median),
        ("trimmed-mean", {"method": "trimmed-mean"}, even, trimmed_mean),
        ("bulyan", {"method": "bulyan"}, 1 / 6, around_median),
        ("clipped-mean", {"method": "clipped-mean"}, even, weighted_mean),
        ("clipped-mean with noise", noisy, even, noisy_mean),
    ]


def _models() -> list[NDArray[np.float32]]:
    parameters = sum(int(np.prod(shape)) for shape in shapes().values())
    return [np.random.default_rng(seed).standard_normal(parameters, np.float32) for seed in range(CLIENTS)]


def _view(arrays: Rows, weight: float) -> SliceView:
    schema = Schema.of([TensorSpec("all", "F32", arrays[0].shape)])
    runs = schema.runs(0, schema.parameters)
    members = tuple(SliceMember(0, ClientId(f"c{row}"), 1.0, (weight,)) for row in range(len(arrays)))
    return SliceView(members, tuple(FlatView(array.view(np.uint8), runs) for array in arrays))


def _agree(name: str, view: SliceView, asked: AggregateParams, kernel: Kernel, arrays: Rows) -> None:
    """Check, where there is no noise, that both compute the same; it warms both up as well."""
    ours, theirs = Aggregate().map(view, asked)["vector"], kernel(arrays)
    if not asked.noise and not np.allclose(ours, theirs, atol=1e-5):
        raise ValueError(f"{name}: the benchmark's kernel computes something else")
