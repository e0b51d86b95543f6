"""LoRA adapters of several ranks in one job: zeros fill those of a lower rank up to the job's.

LoRA (Hu et al. 2021, arXiv:2106.09685) adds B @ A to a layer, with A of shape (rank, inputs) and B of (outputs, rank).
Rows of zeros under A, with as many columns of zeros beside B, leave the product as it is, so that clients of several
ranks can be compared and averaged (HetLoRA, Cho et al. 2024, arXiv:2401.06432):

    rank 1    A = [1 2 3]     B = [4]     B @ A = [4  8 12]
                                  [5]             [5 10 15]
    rank 2    A = [1 2 3]     B = [4 0]   B @ A = [4  8 12]
                  [0 0 0]         [5 0]           [5 10 15]

Factors are recognized by the names that `peft` gives them: `….lora_A.weight`, `….lora_embedding_B.default`.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

_FACTOR = re.compile(r"(?:^|\.)lora_(?:embedding_)?([AB])(?:\.|$)")
_RANK_AXIS = {"A": 0, "B": 1}


def padded(name: str, array: Any, shape: Sequence[int]) -> Any:
    """Return a factor of a lower rank with zeros up to the shape that it has in the job; anything else as it is."""
    factor = _FACTOR.search(name)
    if factor is None or not _is_of_lower_rank(np.shape(array), shape, _RANK_AXIS[factor[1]]):
        return array
    values = array.detach() if hasattr(array, "detach") else array
    whole: Any = np.zeros(shape, values.dtype) if isinstance(values, np.ndarray) else values.new_zeros(shape)
    whole[tuple(map(slice, values.shape))] = values
    return whole


def _is_of_lower_rank(has: Sequence[int], wanted: Sequence[int], axis: int) -> bool:
    """Return whether two shapes differ along one axis alone, where `has` is the shorter."""
    if len(has) != len(wanted) or len(has) <= axis or has[axis] >= wanted[axis]:
        return False
    return all(mine == theirs for at, (mine, theirs) in enumerate(zip(has, wanted, strict=True)) if at != axis)
