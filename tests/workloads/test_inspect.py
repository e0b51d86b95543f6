"""What is reported of one model, against NumPy in float64."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flstore_core.errors import NotFound
from flstore_core.schema import Schema, TensorSpec
from flstore_core.workloads import RoundData
from flstore_core.workloads.inspect import Inspect
from flstore_core.workloads.methods.quantiles import MANY
from tests.workloads.rounds import make_round
from tests.workloads.stored import MIXED, Stored

ASKED = Inspect()
SHARES = [0.0, 0.1, 0.5, 0.9, 1.0]


def stored(schema: Schema, model: NDArray[Any], base: NDArray[Any] | None = None) -> Stored:
    data = make_round(model[None, :], ["c0"], number=1, aggregate=model)
    record = replace(data.record, base=None if base is None else 0)
    models = {(1, "c0"): model, (1, "aggregate"): model}
    return Stored(schema, [RoundData(record)], models if base is None else {**models, (0, "aggregate"): base})


def vector(parameters: int, seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(parameters).round(2) * rng.choice([0, 1e-3, 1, 1e3], parameters)
    rounded: NDArray[Any] = values.astype(np.float16).astype(np.float64)
    return rounded


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_every_tensor_is_told_whatever_its_dtype_and_however_it_is_cut(slices: int) -> None:
    model, base = vector(MIXED.parameters, 0), vector(MIXED.parameters, 1)
    answer = stored(MIXED, model, base).ask(ASKED, slices, quantiles=SHARES)
    assert [tensor.name for tensor in answer.tensors] == [segment.name for segment in MIXED.segments]
    assert (answer.others, answer.base, answer.client) == (["steps"], 0, "aggregate")
    for tensor, segment in zip(answer.tensors, MIXED.segments, strict=True):
        tolerance = 1e-2 if tensor.dtype == "BF16" else 1e-6
        mine = model[segment.start : segment.stop]
        assert tensor.norm == pytest.approx(np.linalg.norm(mine), rel=tolerance)
        assert tensor.mean == pytest.approx(mine.mean(), abs=tolerance * np.abs(mine).max())
        assert tensor.sparsity == (mine == 0).mean()
        moved = np.linalg.norm(mine - base[segment.start : segment.stop])
        assert tensor.distance == pytest.approx(moved, rel=tolerance)
        scale = np.abs(mine).max()
        np.testing.assert_allclose(tensor.quantiles, np.quantile(mine, SHARES), rtol=1 / 64, atol=scale / 64)
    assert answer.sparsity == (model == 0).mean()


@pytest.mark.parametrize("slices", [2, 5])
def test_slices_change_nothing(slices: int) -> None:
    found = stored(MIXED, vector(MIXED.parameters, 2), vector(MIXED.parameters, 3))
    one, many = found.ask(ASKED), found.ask(ASKED, slices)
    for mine, other in zip(one.tensors, many.tensors, strict=True):
        assert mine.quantiles == other.quantiles
        assert (mine.norm, mine.distance) == pytest.approx((other.norm, other.distance), rel=1e-12)


def test_without_a_base_there_is_no_distance_and_empty_tensors_have_no_quantiles() -> None:
    schema = Schema.of([TensorSpec("full", "F32", (4,)), TensorSpec("none", "F32", (0, 3))])
    answer = stored(schema, np.zeros(4)).ask(ASKED, client="c0")
    full, none = answer.tensors
    assert (answer.distance, full.distance, none.quantiles, none.sparsity) == (None, None, [], 0.0)
    assert (full.quantiles, full.sparsity, full.norm) == ([0.0] * 7, 1.0, 0.0)


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFound, match="client in round 0"):
        ASKED.members([make_round(np.ones((1, 6)))], ASKED.params(client="nobody"))
    with pytest.raises(NotFound, match="no aggregate"):
        ASKED.members([make_round(np.ones((1, 6)))], ASKED.params())


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_a_large_tensor_is_told_alike_however_it_is_cut(dtype: str) -> None:
    schema = Schema.of([TensorSpec("large", dtype, (3 * MANY,)), TensorSpec("small", dtype, (7,))])
    found = stored(schema, vector(3 * MANY + 7, 5), vector(3 * MANY + 7, 6))
    one, many = found.ask(ASKED, quantiles=SHARES), found.ask(ASKED, 5, quantiles=SHARES)
    assert [tensor.quantiles for tensor in one.tensors] == [tensor.quantiles for tensor in many.tensors]
    mine = found.models[1, "aggregate"][: 3 * MANY]
    np.testing.assert_allclose(one.tensors[0].quantiles, np.quantile(mine, SHARES, method="lower"), rtol=1 / 128)
    ends = one.tensors[0].quantiles[0], one.tensors[0].quantiles[-1]
    assert ends == pytest.approx((mine.min(), mine.max()), rel=1 / 256 if dtype == "BF16" else 0)


def test_constants_are_told_exactly_however_many_they_are() -> None:
    answer = stored(Schema.of([TensorSpec("same", "F32", (MANY,))]), np.full(MANY, -0.3, np.float32)).ask(ASKED)
    assert answer.tensors[0].quantiles == [float(np.float32(-0.3))] * 7
