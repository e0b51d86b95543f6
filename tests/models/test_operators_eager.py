"""Operators run through the executor give what PyTorch gives eagerly, on small shapes, many in one exported program."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from flstore_core.models.archive import read_archive
from flstore_core.models.executor import Executable
from flstore_core.models.operators import ATEN
from flstore_core.models.program import parse_program
from flstore_core.models.running import Limits, Running
from flstore_core.models.weights import strided
from tests.models.networks import exported

Function = Callable[[Tensor], Any]

ELEMENTWISE: Mapping[str, Function] = {
    "abs": torch.abs,
    "arithmetic": lambda x: (2 * x + 1) / (x * x + 3) - x,
    "bits": lambda x: torch.logical_or(torch.logical_and(x > 0, x < 1), ~(x != 2)).logical_xor(x <= -1),
    "ceil": torch.ceil,
    "clamp": lambda x: torch.clamp(x, -0.5, 0.75),
    "compare": lambda x: torch.where(x >= 0, x, -2 * x),
    "copysign": lambda x: torch.copysign(torch.ones_like(x), x),
    "elu": F.elu,
    "erf": torch.erf,
    "exp": lambda x: torch.expm1(torch.exp(-x)),
    "floor divide": lambda x: torch.div(x, 0.3, rounding_mode="floor"),
    "fmod": lambda x: torch.fmod(x, 0.7) + torch.remainder(x, 0.7),
    "gelu": lambda x: F.gelu(x) + F.gelu(x, approximate="tanh"),
    "hard": lambda x: F.hardswish(x) + F.hardsigmoid(x) + F.hardtanh(x),
    "hyperbolic": lambda x: torch.sinh(x) + torch.cosh(x) + torch.tanh(x),
    "in place": lambda x: x.clone().add_(1).mul_(2).relu_(),
    "leaky": lambda x: F.leaky_relu(x, 0.1) + F.relu6(3 * x),
    "lerp": lambda x: torch.lerp(x, 2 * x, 0.25),
    "logarithms": lambda x: torch.log(x.abs() + 1) + torch.log1p(x.abs()) + torch.log2(x.abs() + 2),
    "masked fill": lambda x: x.masked_fill(x < 0, float("-inf")),
    "maximum": lambda x: torch.maximum(x, -x) + torch.minimum(x, 0.5 * x),
    "not a number": lambda x: torch.nan_to_num(x / 0.0, 1.0, 2.0, 3.0),
    "power": lambda x: x**2 + (x.abs() + 1) ** 0.5 + 2**x,
    "reciprocal": lambda x: torch.reciprocal(x + 5) + torch.rsqrt(x.abs() + 1),
    "round": lambda x: torch.round(x) + torch.trunc(x) + torch.sign(x) + torch.frac(x),
    "sigmoid": lambda x: torch.sigmoid(x) + F.logsigmoid(x) + F.silu(x) + F.mish(x) + F.softplus(x) + F.softsign(x),
    "trigonometry": lambda x: torch.sin(x) + torch.cos(x) + torch.tan(x) + torch.atan2(x, x + 3) + torch.asin(x / 9),
}
REDUCTIONS: Mapping[str, Function] = {
    "all any": lambda x: torch.stack([(x > -9).all(), (x > 9).any()]),
    "arg": lambda x: torch.cat([x.argmax(1), x.argmin(1)]),
    "cumulative": lambda x: torch.cumsum(x, 1) + torch.cumprod(x, 0),
    "extremes": lambda x: x.amax(1) + x.amin(1) + x.max(1).values + x.min(1).values,
    "log sum exp": lambda x: torch.logsumexp(x, 1),
    "mean": lambda x: x.mean() + x.mean(1, keepdim=True),
    "median": lambda x: x.median(1).values,
    "norm": lambda x: torch.linalg.vector_norm(x, 2, 1) + torch.norm(x),
    "prod": lambda x: x.prod(1),
    "sort": lambda x: torch.sort(x, 1, descending=True),
    "spread": lambda x: torch.var(x, 1) + torch.std(x, 1, unbiased=False),
    "sum": lambda x: x.sum() + x.sum((0, 1)),
    "top": lambda x: torch.topk(x, 2, 1),
}
SHAPES: Mapping[str, Function] = {
    "broadcast": lambda x: x.unsqueeze(0).expand(2, 3, 4) + torch.arange(4),
    "cat": lambda x: torch.cat([x, x + 1], 1),
    "chunk": lambda x: torch.chunk(x, 2, 1),
    "diagonal": lambda x: torch.diagonal(x) + torch.tril(x)[:, 0] + torch.triu(x)[:, 2],
    "flatten": lambda x: torch.flatten(x) + x.reshape(-1) + x.view(12),
    "flip roll": lambda x: x.flip(1) + torch.roll(x, 1, 0) + torch.rot90(x, 2),
    "gather": lambda x: torch.gather(x, 1, torch.tensor([[0, 1], [2, 3], [1, 0]])),
    "index": lambda x: x[torch.tensor([2, 0])] + x[:, [1]][:2],
    "index put": lambda x: torch.zeros(3, 4).index_add(0, torch.tensor([1, 1, 0]), x),
    "interleave": lambda x: x.repeat(1, 2) + torch.repeat_interleave(x, 2, 1),
    "narrow": lambda x: x.narrow(1, 1, 2) + x[:, 2:] + x[:, ::2],
    "one hot": lambda x: F.one_hot((x > 0).long(), 3),
    "pad": lambda x: F.pad(x, (1, 2)) + F.pad(x, (1, 2), value=7.0),
    "permute": lambda x: x.permute(1, 0) + x.t() + x.transpose(0, 1),
    "scatter": lambda x: torch.zeros(3, 4).scatter(1, torch.tensor([[0], [1], [2]]), x[:, :1]),
    "sizes": lambda x: x / x.shape[0] + x.numel() // 5,
    "split": lambda x: torch.split(x, [1, 3], 1),
    "stack": lambda x: torch.stack([x, x], 2).squeeze() + torch.unsqueeze(x, 2),
    "tile": lambda x: torch.tile(x, (2, 1)) + x.new_zeros(6, 4) + torch.full((6, 4), 0.5),
    "types": lambda x: x.to(torch.float64) + x.long().double() + x.half().double(),
    "unbind": lambda x: x.unbind(0),
    "unfold": lambda x: x.unfold(1, 2, 1),
    "where": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
}
LAYERS: Mapping[str, Function] = {
    "attention": lambda x: F.scaled_dot_product_attention(
        x.view(1, 1, 3, 4), x.view(1, 1, 3, 4), x.exp().view(1, 1, 3, 4)
    ),
    "average pool": lambda x: F.avg_pool2d(x.view(1, 1, 3, 4), 2) + F.adaptive_avg_pool2d(x.view(1, 1, 3, 4), 1),
    "batch norm": lambda x: F.batch_norm(x, torch.ones(4), torch.full((4,), 2.0), eps=0.1),
    "bilinear sampling": lambda x: F.interpolate(x.view(1, 1, 3, 4), scale_factor=2, mode="bilinear"),
    "convolution": lambda x: F.conv1d(x.unsqueeze(0), torch.ones(2, 3, 2)) + 1,
    "cosine": lambda x: F.cosine_similarity(x, x + 1, 1) + F.pairwise_distance(x, 2 * x),
    "distance": lambda x: torch.cdist(x, x + 1),
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x),
    "embedding": lambda x: F.embedding((x > 0).long(), torch.arange(6.0).view(2, 3)),
    "group norm": lambda x: F.group_norm(x.view(1, 4, 3), 2),
    "layer norm": lambda x: F.layer_norm(x, (4,), torch.full((4,), 2.0), torch.ones(4)),
    "linear": lambda x: F.linear(x, torch.ones(2, 4), torch.tensor([1.0, -1.0])),
    "matrices": lambda x: x @ x.t() + torch.mm(x, x.t()) + torch.addmm(torch.ones(3, 3), x, x.t()),
    "max pool": lambda x: F.max_pool2d(x.view(1, 1, 3, 4), 2) + F.max_pool1d(x.view(1, 3, 4), 4).sum(),
    "normalize": lambda x: F.normalize(x, dim=1),
    "softmax": lambda x: F.softmax(x, 1) + F.log_softmax(x, 0),
    "transposed convolution": lambda x: F.conv_transpose1d(x.unsqueeze(0), torch.ones(3, 2, 2)),
    "upsample": lambda x: F.interpolate(x.view(1, 1, 3, 4), scale_factor=2, mode="nearest"),
}
GROUPS = {"elementwise": ELEMENTWISE, "reductions": REDUCTIONS, "shapes": SHAPES, "layers": LAYERS}


class Bundle(nn.Module):
    """Many functions of one input."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        super().__init__()
        self._functions = functions

    def forward(self, x: Tensor) -> list[Tensor]:
        return [part for function in self._functions.values() for part in parts_of(function(x))]


def parts_of(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def executed(functions: Mapping[str, Function], x: Tensor) -> list[Tensor]:
    """Export the functions over other numbers than those they are then run with."""
    archive = read_archive(exported(Bundle(functions), torch.ones_like(x), dynamic={}))
    program = parse_program(archive.program)
    constants = {name: strided(archive.constants[name]) for name in program.constants.values()}
    return list(Executable(program).run({}, constants, [x], Running(Limits(), lambda: 0.0)))


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, tuple[list[Tensor], list[Tensor]]]]:
    """By group and function: what the executor and PyTorch return."""
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(3))
    found: dict[str, dict[str, tuple[list[Tensor], list[Tensor]]]] = {}
    for group, functions in GROUPS.items():
        outputs = iter(executed(functions, x))
        expected = {name: parts_of(function(x)) for name, function in functions.items()}
        found[group] = {name: ([next(outputs) for _ in parts], parts) for name, parts in expected.items()}
        assert next(outputs, None) is None
    return found


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, names in GROUPS.items() for name in names])
def test_an_operator_gives_what_pytorch_gives(
    outcomes: dict[str, dict[str, tuple[list[Tensor], list[Tensor]]]], group: str, name: str
) -> None:
    actual, expected = outcomes[group][name]
    torch.testing.assert_close(actual, expected, equal_nan=True)


def test_every_listed_operator_exists_in_this_pytorch() -> None:
    assert not [name for name in ATEN if not hasattr(torch.ops.aten, name)]
