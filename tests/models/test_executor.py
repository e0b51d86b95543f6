"""Programs run as PyTorch runs the module they were exported from, over whatever weights are put in."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from flstore_core.errors import OperationCancelled, RunTooLarge, RunTooLong
from flstore_core.models.loading import Loaded, load
from flstore_core.models.running import Limits, Running
from flstore_core.models.weights import mixture, views
from flstore_core.schema import Schema, TensorSpec
from tests.models.fixtures import CODES, plain
from tests.models.networks import Causal, Mobile, Perceptron, Recurrent, ResNet, ShiftedWindows, exported

IMAGES = (4, 3, 16, 16)
TOKENS = {0: Dim("batch"), 1: Dim("length", max=64)}


def schema_of(module: nn.Module) -> Schema:
    return Schema.of(TensorSpec(name, CODES[t.dtype], tuple(t.shape)) for name, t in plain(module).items())


def program_of(module: nn.Module, *inputs: Tensor, dynamic: dict[int, Dim] | None = None) -> Loaded:
    return load(schema_of(module), exported(module, *inputs, dynamic=dynamic))


def unlimited() -> Running:
    return Running(Limits(), lambda: 0.0)


def trained_alike(make: Callable[[], nn.Module]) -> nn.Module:
    """Return a module with other weights than a fresh one, running statistics too."""
    module = make()
    maker = torch.Generator().manual_seed(5)
    for tensor in plain(module).values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=maker) + 0.1)
    return module.eval()


@pytest.mark.parametrize("make", [ResNet, Mobile, ShiftedWindows])
def test_networks_over_images_give_what_pytorch_gives(make: Callable[[], nn.Module]) -> None:
    program = program_of(make(), torch.randn(IMAGES))
    other, images = trained_alike(make), torch.randn(7, *IMAGES[1:])
    weights = program.sources.weights(plain(other), program.frozen, 1.0)
    with torch.no_grad():
        expected = other(images)
    (found,) = program.executable.run(weights, program.constants, [images], unlimited())
    torch.testing.assert_close(found, expected)


def test_a_recurrent_network_gives_what_pytorch_gives() -> None:
    with pytest.warns(UserWarning, match="RNN|weights"):
        program = program_of(Recurrent(), torch.randn(2, 5, 8))
    other, series = trained_alike(Recurrent), torch.randn(3, 5, 8)
    (found,) = program.executable.run(dict(other.state_dict()), program.constants, [series], unlimited())
    with torch.no_grad():
        torch.testing.assert_close(found, other(series))


def test_tied_weights_are_stored_once_and_used_twice() -> None:
    program = program_of(Causal(), torch.ones(2, 5, dtype=torch.int64), dynamic=TOKENS)
    other = trained_alike(Causal)
    assert "out.weight" not in plain(other)
    weights = program.sources.weights(plain(other), program.frozen, 1.0)
    tokens = torch.randint(0, 64, (3, 9))
    (found,) = program.executable.run(weights, program.constants, [tokens], unlimited())
    with torch.no_grad():
        torch.testing.assert_close(found, other(tokens), rtol=1e-4, atol=1e-4)


def test_weights_are_views_into_one_buffer() -> None:
    module = Perceptron()
    schema = schema_of(module)
    data = torch.cat([module.state_dict()[spec.name].reshape(-1) for spec in schema.tensors]).view(torch.uint8).numpy()
    found = views(schema, data)
    assert {tensor.untyped_storage().data_ptr() for tensor in found.values()} == {data.ctypes.data}
    for name, tensor in module.state_dict().items():
        assert torch.equal(found[name], tensor)


def test_a_mixture_is_the_weighted_sum_of_its_parts() -> None:
    schema = Schema.of([TensorSpec("a", "F32", (3,)), TensorSpec("h", "F16", (2,)), TensorSpec("n", "I64", ())])

    def model(a: list[float], h: list[float], n: int) -> Tensor:
        parts = {
            "n": torch.tensor(n),
            "a": torch.tensor(a, dtype=torch.float32),
            "h": torch.tensor(h, dtype=torch.float16),
        }
        return torch.cat([parts[spec.name].reshape(-1).view(torch.uint8) for spec in schema.tensors])

    first, second = model([1, 2, 3], [8, 16], 7), model([3, 2, 1], [0, 4], 9)
    found = views(schema, mixture(schema, [(0.25, first.numpy()), (0.75, second.numpy())]))
    assert found["a"].tolist() == [2.5, 2.0, 1.5]
    assert found["h"].tolist() == [2.0, 7.0]
    assert found["n"].item() == 7


class Doubling(nn.Linear):
    """Three results of twice the rows of the one before, each of which is read to the end; and a weight."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def forward(self, rows: Tensor) -> Tensor:
        two = torch.cat([rows, rows])
        four = torch.cat([two, two])
        eight = torch.cat([four, four])
        found: Tensor = eight.sum() + four.sum() + two.sum() + 0 * self.weight.sum()
        return found


ROW = 1000 * 4
"""Bytes of a row below."""


def doubled(limits: Limits, clock: Callable[[], float] = lambda: 0.0, rows: int = 4) -> Tensor:
    program = program_of(Doubling(), torch.ones(4, 1000))
    weights = program.sources.weights(plain(Doubling()), program.frozen, 1.0)
    (found,) = program.executable.run(weights, program.constants, [torch.ones(rows, 1000)], Running(limits, clock))
    return found


def test_results_may_hold_as_much_as_is_allowed_and_no_more() -> None:
    most = (2 + 4 + 8) * 4 * ROW
    assert doubled(Limits(nbytes=most + 100)).item() == (2 + 4 + 8) * 4 * 1000
    with pytest.raises(RunTooLarge, match=r"with operator aten\.\S+ the program's results hold .* fewer rows"):
        doubled(Limits(nbytes=most - 1))
    assert doubled(Limits(nbytes=most - 1), rows=3).item() == (2 + 4 + 8) * 3 * 1000


def test_a_run_past_its_time_is_ended_between_operators() -> None:
    seconds = iter(range(100))
    with pytest.raises(RunTooLong, match=r"ended after 3 s with 0 of 1 steps"):
        doubled(Limits(seconds=3), lambda: next(seconds))


def test_a_run_that_nobody_waits_for_is_ended() -> None:
    running = unlimited()
    running.tell(1, 3)
    running.cancel()
    with pytest.raises(OperationCancelled):
        running.tell(2, 3)
