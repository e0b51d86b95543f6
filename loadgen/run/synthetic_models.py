"""Synthetic models of any size: windows into one array of noise, so that thousands take the memory of one.

Two models are the same noise at different offsets. As vectors they are nearly uncorrelated, and creating one copies
nothing.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from flstore_core.codec import encode_header
from flstore_core.errors import InvalidParameters
from flstore_core.flat import narrow_to_bfloat16
from flstore_core.schema import ITEMSIZE, Schema, TensorSpec
from loadgen.traces.generator import MODEL_BYTES

TENSORS = 60
"""About as many as the paper's models have."""
_SPARE = 1 << 20
"""Number of possible offsets."""
_SCALE = 0.02


def schema_of(nbytes: int) -> Schema:
    """Return the schema of a model of `nbytes` bytes whose layers grow, as in convolutional networks."""
    dtype = "BF16" if nbytes == MODEL_BYTES["lora_7b"] else "F32"
    size = ITEMSIZE[dtype]
    if nbytes < size or nbytes % size:
        raise InvalidParameters(f"an update has {nbytes} bytes; use a multiple of {size}")
    edges = [(index / TENSORS) ** 3 * (nbytes // size) for index in range(TENSORS + 1)]
    counts = np.diff(np.round(edges).astype(int))
    return Schema.of(TensorSpec(f"layer{i:02d}.weight", dtype, (int(n),)) for i, n in enumerate(counts) if n)


class Models:
    """Models of one schema.

    Args:
        seed: equal seeds give equal models.
    """

    def __init__(self, schema: Schema, seed: int) -> None:
        self._header = memoryview(encode_header(schema))
        self._nbytes = schema.nbytes
        dtype = schema.tensors[0].dtype
        self._itemsize = ITEMSIZE[dtype]
        noise = np.random.default_rng(seed).standard_normal(self._nbytes // self._itemsize + _SPARE, np.float32)
        noise *= _SCALE
        self._noise = memoryview((narrow_to_bfloat16(noise) if dtype == "BF16" else noise).view(np.uint8).data)
        self._seed = seed

    def body(self, job: str, number: int, client: str) -> tuple[memoryview, memoryview]:
        """Return a model's safetensors file as header and data."""
        offset = self._draw(job, number, client) % _SPARE * self._itemsize
        return self._header, self._noise[offset : offset + self._nbytes]

    def metrics(self, job: str, number: int, client: str) -> Mapping[str, Any]:
        """Return the metrics that a client reports with its update."""
        drawn = self._draw(job, number, client)
        return {
            "num_examples": 50 + drawn % 200,
            "loss": round(2.0 / (1 + number) ** 0.5 + drawn % 97 / 970, 4),
            "accuracy": round(1.0 - 0.9 / (1 + number) ** 0.5 - drawn % 89 / 8900, 4),
            "duration_s": round(5.0 + drawn % 541 / 50, 2),
        }

    def _draw(self, job: str, number: int, client: str) -> int:
        text = f"{self._seed}/{job}/{number}/{client}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
