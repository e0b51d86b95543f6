"""Updates shaped like ResNet18's, made without the framework: 11.69 M float32 parameters in 62 tensors."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float32]]

_STAGES = ((64, 64), (64, 128), (128, 256), (256, 512))


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the trainable tensors of torchvision's `resnet18`, by name."""
    found: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), **_norm("bn1", 64)}
    for stage, (before, width) in enumerate(_STAGES, start=1):
        for block in (0, 1):
            source = before if block == 0 else width
            name = f"layer{stage}.{block}"
            found[f"{name}.conv1.weight"] = (width, source, 3, 3)
            found[f"{name}.conv2.weight"] = (width, width, 3, 3)
            found |= {**_norm(f"{name}.bn1", width), **_norm(f"{name}.bn2", width)}
            if source != width:
                found[f"{name}.downsample.0.weight"] = (width, source, 1, 1)
                found |= _norm(f"{name}.downsample.1", width)
    return found | {"fc.weight": (1000, 512), "fc.bias": (1000,)}


def update(seed: int, base: Arrays | None = None, step: float = 0.01) -> Arrays:
    """Return a model of random weights, or one a small random step away from `base`."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, shape in shapes().items():
        noise = rng.standard_normal(shape, np.float32)
        made[name] = noise if base is None else base[name] + step * noise
    return made


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
