"""Operands that layers take, by operator: shapes of tensors, and the other operands as they are.

`tests.models.fuzzing` spoils one of them in half of its cases. Drawn at random, operands of a layer hardly ever fit,
and what is refused for one reason says nothing of the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True)
class Of:
    """A tensor of a shape; `kind` is "float", "bool", or the bound of indices."""

    shape: tuple[int, ...]
    kind: Any = "float"


Recipe = Callable[[Random], list[Any]]


def _norm(*rest: Any, operator: str = "") -> Recipe:
    def recipe(chosen: Random) -> list[Any]:
        channels = chosen.choice((1, 2, 4, 6))
        size = (chosen.choice((1, 2, 3)), channels, *chosen.choice(((), (3,), (2, 3), (8, 8))))
        several = [Of((channels,)) if chosen.random() < 0.8 else None for _ in range(2)]
        if operator == "group":
            area = 1
            for each in size[2:]:
                area *= each
            return [Of(size), *several, size[0], channels, area, chosen.choice((1, channels)), 1e-5]
        return [Of(size), *several, Of((channels,)), Of((channels,)), *rest]

    return recipe


def _layer_norm(chosen: Random) -> list[Any]:
    size = (2, 3, chosen.choice((1, 4, 16)))
    last = size[chosen.choice((1, 2)) :]
    return [Of(size), list(last), Of(last), Of(last), 1e-5]


def _attention(chosen: Random) -> list[Any]:
    batch, heads, length, width = chosen.choice((1, 2)), chosen.choice((1, 2)), chosen.choice((1, 3, 40)), 8
    other = chosen.choice((length, 5, 33))
    rest = [Of((batch, heads, other, width)), Of((batch, heads, other, width))]
    return [Of((batch, heads, length, width)), *rest]


def _masked_attention(chosen: Random) -> list[Any]:
    query, key, value = _attention(chosen)
    scores = (*query.shape[:-1], key.shape[-2])
    mask = chosen.choice((scores, scores[2:], (1, 1, *scores[2:]), (*scores[:3], 1)))
    return [query, key, value, Of(mask, chosen.choice(("float", "bool"))), 0.0, False]


def _recurrent(gates: int) -> Recipe:
    def recipe(chosen: Random) -> list[Any]:
        batch, length, inputs, width = chosen.choice((1, 3)), chosen.choice((1, 4)), 5, chosen.choice((2, 8))
        both = chosen.random() < 0.3
        states: Any = [Of((1 + both, batch, width)) for _ in range(2)] if gates == 4 else Of((1 + both, batch, width))
        params = [
            Of(shape)
            for _ in range(1 + both)
            for shape in ((gates * width, inputs), (gates * width, width), (gates * width,), (gates * width,))
        ]
        return [Of((length, batch, inputs)), states, params, True, 1, 0.0, False, both, False]

    return recipe


def _convolution(dims: int) -> Recipe:
    def recipe(chosen: Random) -> list[Any]:
        groups = chosen.choice((1, 1, 2))
        inputs, outputs = groups * chosen.choice((1, 2, 3)), groups * chosen.choice((1, 2, 4))
        kernel, size = chosen.choice((1, 2, 3)), chosen.choice((3, 5, 9))
        turned = chosen.random() < 0.4
        weight = (inputs, outputs // groups) if turned else (outputs, inputs // groups)
        return [
            Of((chosen.choice((1, 2)), inputs, *[size] * dims)),
            Of((*weight, *[kernel] * dims)),
            Of((outputs,)),
            [chosen.choice((1, 2))] * dims,
            [chosen.choice((0, 1))] * dims,
            [chosen.choice((1, 1, 2))] * dims,
            turned,
            [0] * dims,
            groups,
        ]

    return recipe


def _pool(dims: int) -> Recipe:
    def recipe(chosen: Random) -> list[Any]:
        size = (2, 3, *[chosen.choice((4, 7))] * dims)
        kernel = chosen.choice((1, 2, 3))
        return [Of(size), [kernel] * dims, [chosen.choice((1, 2))] * dims, [kernel // 2] * dims]

    return recipe


def _upsample(dims: int, *, aligned: bool) -> Recipe:
    def recipe(chosen: Random) -> list[Any]:
        size, factor = chosen.choice((3, 4, 9)), chosen.choice((2, 3))
        scale = chosen.choice((float(factor), 1e-300, -1.0, float("nan"), 1e30, None))
        corners = [chosen.random() < 0.5] if aligned else []
        return [Of((1, 2, *[size] * dims)), [size * factor] * dims, *corners, *[scale] * dims]

    return recipe


def _sampled(chosen: Random) -> list[Any]:
    return [Of((1, 2, 4, 5)), Of((1, 3, 3, 2)), chosen.choice((0, 1, 2, 9)), chosen.choice((0, 1, 2, 9)), False]


def _along(chosen: Random, *rest: Any) -> list[Any]:
    size, dim = (3, 4, 5), chosen.randrange(3)
    return [Of(size), dim, Of(size, size[dim]), *rest]


def _padded(dims: int) -> Recipe:
    def recipe(chosen: Random) -> list[Any]:
        return [Of((2, 3, *[4] * dims)), [chosen.choice((0, 1, 2, 3, -1, -2)) for _ in range(2 * dims)]]

    return recipe


def _columns(chosen: Random) -> list[Any]:
    kernel, size = chosen.choice((1, 2, 3)), chosen.choice((4, 6))
    places = (size - kernel + 1) ** 2
    return [Of((2, 3 * kernel**2, places)), [size] * 2, [kernel] * 2, [1, 1], [0, 0], [1, 1]]


RECIPES: Mapping[str, Recipe] = {
    "aten.native_batch_norm.default": _norm(False, 0.1, 1e-5),
    "aten._native_batch_norm_legit_no_training.default": _norm(0.1, 1e-5),
    "aten.batch_norm.default": _norm(False, 0.1, 1e-5, False),
    "aten.instance_norm.default": _norm(False, 0.1, 1e-5, False),
    "aten.native_group_norm.default": _norm(operator="group"),
    "aten.native_layer_norm.default": _layer_norm,
    "aten.layer_norm.default": _layer_norm,
    "aten._fused_rms_norm.default": lambda chosen: [part for i, part in enumerate(_layer_norm(chosen)) if i != 3],
    "aten.rms_norm.default": lambda chosen: [part for i, part in enumerate(_layer_norm(chosen)) if i != 3],
    "aten._scaled_dot_product_flash_attention_for_cpu.default": _attention,
    "aten.scaled_dot_product_attention.default": _masked_attention,
    "aten.lstm.input": _recurrent(4),
    "aten.gru.input": _recurrent(3),
    "aten.rnn_relu.input": _recurrent(1),
    "aten.rnn_tanh.input": _recurrent(1),
    "aten.convolution.default": lambda chosen: _convolution(chosen.choice((1, 2, 3)))(chosen),
    "aten.conv2d.default": lambda chosen: [part for i, part in enumerate(_convolution(2)(chosen)) if i not in (6, 7)],
    "aten.max_pool1d.default": _pool(1),
    "aten.max_pool2d.default": _pool(2),
    "aten.max_pool2d_with_indices.default": _pool(2),
    "aten.max_pool3d.default": _pool(3),
    "aten.avg_pool1d.default": _pool(1),
    "aten.avg_pool2d.default": _pool(2),
    "aten.avg_pool3d.default": _pool(3),
    "aten.upsample_nearest1d.default": _upsample(1, aligned=False),
    "aten.upsample_nearest2d.default": _upsample(2, aligned=False),
    "aten.upsample_linear1d.default": _upsample(1, aligned=True),
    "aten.upsample_bilinear2d.default": _upsample(2, aligned=True),
    "aten.upsample_bicubic2d.default": _upsample(2, aligned=True),
    "aten.grid_sampler_2d.default": _sampled,
    "aten.grid_sampler.default": _sampled,
    "aten.gather.default": _along,
    "aten.scatter.src": lambda chosen: _along(chosen, Of((3, 4, 5))),
    "aten.scatter_add.default": lambda chosen: _along(chosen, Of((3, 4, 5))),
    "aten.scatter_reduce.two": lambda chosen: _along(chosen, Of((3, 4, 5)), chosen.choice(("sum", "amax", "mean"))),
    "aten.scatter.value": lambda chosen: _along(chosen, 2.0),
    "aten.index_select.default": lambda chosen: [Of((3, 4)), 1, Of((6,), 4)],
    "aten.index_add.default": lambda chosen: [Of((3, 4)), 1, Of((6,), 4), Of((3, 6))],
    "aten.index_copy.default": lambda chosen: [Of((3, 4)), 1, Of((6,), 4), Of((3, 6))],
    "aten.index_fill.int_Scalar": lambda chosen: [Of((3, 4)), 1, Of((6,), 4), 1.0],
    "aten.index.Tensor": lambda chosen: [
        Of((3, 4, 5)),
        chosen.choice(([Of((3, 4), "bool")], [Of((2,), 3), Of((2,), 4)])),
    ],
    "aten.index_put.default": lambda chosen: [Of((3, 4)), [Of((6,), 3), Of((6,), 4)], Of((6,)), chosen.random() < 0.5],
    "aten.masked_scatter.default": lambda chosen: [Of((3, 4)), Of((3, 4), "bool"), Of((chosen.choice((12, 3)),))],
    "aten.masked_select.default": lambda chosen: [Of((3, 4)), Of(chosen.choice(((3, 4), (4,), (2, 3, 4))), "bool")],
    "aten.embedding.default": lambda chosen: [Of((5, 3)), Of((2, 4), 5)],
    "aten.repeat_interleave.self_Tensor": lambda chosen: [Of((3, 4)), Of((4,), 3), 1],
    "aten.take_along_dim.default": lambda chosen: [Of((3, 4)), Of((3, 4), 3), 0],
    "aten.reflection_pad1d.default": _padded(1),
    "aten.reflection_pad2d.default": _padded(2),
    "aten.reflection_pad3d.default": _padded(3),
    "aten.replication_pad1d.default": _padded(1),
    "aten.replication_pad2d.default": _padded(2),
    "aten.replication_pad3d.default": _padded(3),
    "aten.col2im.default": lambda chosen: [part for i, part in enumerate(_columns(chosen)) if i != 3] + [[1, 1]],
    "aten.im2col.default": lambda chosen: [Of((2, 3, 6, 7)), [2, 3], [1, 1], [chosen.choice((0, 1))] * 2, [1, 2]],
    "aten.cdist.default": lambda chosen: [Of((2, 30, 4)), Of((2, 6, 4)), 2.0, None],
    "aten.baddbmm.default": lambda chosen: [Of((2, 3, 5)), Of((2, 3, 4)), Of((2, 4, 5))],
    "aten.bmm.default": lambda chosen: [Of((2, 3, 4)), Of((2, 4, 5))],
    "aten.addmv.default": lambda chosen: [Of((3,)), Of((3, 4)), Of((4,))],
    "aten.linear.default": lambda chosen: [Of((chosen.choice((1, 3)), 8)), Of((5, 8)), Of((5,))],
    "aten.bilinear.default": lambda chosen: [Of((3, 4)), Of((3, 5)), Of((2, 4, 5)), Of((2,))],
    "aten.pixel_shuffle.default": lambda chosen: [Of((1, 8, 3, 2)), 2],
    "aten.channel_shuffle.default": lambda chosen: [Of((1, 8, 3, 2)), 2],
    "aten.adaptive_avg_pool2d.default": lambda chosen: [Of((1, 2, 5, 6)), [3, 4]],
    "aten.adaptive_max_pool2d.default": lambda chosen: [Of((1, 2, 5, 6)), [3, 4]],
    "aten.div.Tensor_mode": lambda chosen: [Of((6,), -3), Of((6,), -3)],
    "aten.repeat_interleave.Tensor": lambda chosen: [Of((6,), 4)],
}
"""By operator and overload. A positional operand that is left out has its default."""
