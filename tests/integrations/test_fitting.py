"""Models as frameworks hand them over, in the dtypes and the rank of a job."""

from typing import Any

import numpy as np
import pytest
import torch

from flstore_core.client.tensors import schema_of
from flstore_core.integrations.recorder.fitting import fitted


def lora(rank: int, kind: Any = np.asarray, dtype: Any = np.float32) -> dict[str, Any]:
    """Return the adapter of one layer from 5 to 3 units, of one embedding and of a convolution, named as by `peft`."""
    rng = np.random.default_rng(rank)
    shapes = {
        "base_model.model.q_proj.lora_A.weight": (rank, 5),
        "base_model.model.q_proj.lora_B.weight": (3, rank),
        "base_model.model.tokens.lora_embedding_A": (rank, 7),
        "base_model.model.tokens.lora_embedding_B": (4, rank),
        "base_model.model.conv.lora_A.default.weight": (rank, 2, 3, 3),
        "base_model.model.conv.lora_B.default.weight": (6, rank, 1, 1),
    }
    return {name: kind(rng.standard_normal(shape).astype(dtype)) for name, shape in shapes.items()}


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_an_adapter_of_a_lower_rank_is_padded_and_its_product_is_the_same(kind: Any) -> None:
    small = lora(2, kind)
    padded = fitted(small, schema_of(lora(4)))
    assert schema_of(padded) == schema_of(lora(4))
    for layer, first in (("q_proj", "lora_A.weight"), ("tokens", "lora_embedding_A")):
        a, b = f"base_model.model.{layer}.{first}", f"base_model.model.{layer}.{first.replace('_A', '_B')}"
        assert np.allclose(np.asarray(padded[b]) @ np.asarray(padded[a]), np.asarray(small[b]) @ np.asarray(small[a]))
    conv = np.asarray(padded["base_model.model.conv.lora_A.default.weight"])
    assert np.array_equal(conv[:2], np.asarray(small["base_model.model.conv.lora_A.default.weight"]))
    assert not conv[2:].any()


def test_an_adapter_of_bfloat16_and_its_gradients_stay_behind() -> None:
    small = {name: torch.nn.Parameter(tensor.to(torch.bfloat16)) for name, tensor in lora(2, torch.tensor).items()}
    padded = fitted(
        small, schema_of({name: tensor.to(torch.bfloat16) for name, tensor in lora(4, torch.tensor).items()})
    )
    factor = padded["base_model.model.q_proj.lora_A.weight"]
    assert (factor.shape, factor.dtype) == ((4, 5), torch.bfloat16)
    assert torch.equal(factor[:2], small["base_model.model.q_proj.lora_A.weight"])


def test_what_is_no_adapter_of_a_lower_rank_is_left_for_the_store_to_refuse() -> None:
    schema = schema_of({**lora(4), "head.weight": np.zeros((4, 4), np.float32)})
    wrong = {
        "base_model.model.q_proj.lora_A.weight": np.ones(
            (8, 5), np.float32
        ),  # of a higher rank: it cannot be kept whole
        "base_model.model.q_proj.lora_B.weight": np.ones((2, 2), np.float32),  # of another layer
        "base_model.model.tokens.lora_embedding_A": np.ones(7, np.float32),
        "head.weight": np.ones((2, 4), np.float32),
        "other.lora_A.weight": np.ones((2, 5), np.float32),
    }
    assert all(array is wrong[name] for name, array in fitted(wrong, schema).items())


def test_averages_take_the_jobs_dtypes() -> None:
    job = {"w": torch.zeros(2, dtype=torch.bfloat16), "n": torch.zeros((), dtype=torch.int64), "h": np.zeros(2, "f2")}
    averages = {"w": np.array([1.5, 2.0]), "n": torch.tensor(6.7), "h": torch.tensor([0.5, 1.0])}
    made = fitted(averages, schema_of(job))
    assert schema_of(made) == schema_of(job)
    assert made["w"].tolist() == [1.5, 2.0]
    assert int(made["n"]) == 7
    assert made["h"].tolist() == [0.5, 1.0]


def test_counters_that_are_no_numbers_stay_as_they_are() -> None:
    schema = schema_of({"n": np.array(1), "m": torch.tensor(1)})
    made = fitted({"n": np.array(np.nan), "m": torch.tensor(torch.inf)}, schema)
    assert np.isnan(made["n"])
    assert torch.isinf(made["m"])
