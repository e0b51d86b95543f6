"""Programs on a device other than the processor: on PyTorch's meta device, which has no memory, and on a GPU if any."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from flstore_core.errors import InvalidParameters
from flstore_core.models import devices
from flstore_core.models.binding import bind
from flstore_core.models.loading import load
from flstore_core.models.program import Input, Node, Program, Ref, TorchValue
from flstore_core.models.running import Limits, Running
from flstore_core.models.weights import views
from tests.models.fixtures import plain
from tests.models.networks import Mobile, Perceptron, ResNet, ShiftedWindows, exported
from tests.models.test_executor import schema_of

META = torch.device("meta")


class Positions(nn.Module):
    """Makes tensors of its own on the way: places, zeros, a mask and random weights that count nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.register_buffer("table", torch.arange(4.0), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        places = torch.arange(4, dtype=torch.float32, device=rows.device)
        mask = torch.full((4, 4), 1.0).tril()
        moved: Tensor = rows * self.scale + places + torch.zeros(4) + self.get_buffer("table")
        return moved @ mask + torch.zeros_like(rows)


def running() -> Running:
    return Running(Limits(), lambda: 0.0)


@pytest.mark.parametrize(
    ("module", "shape"), [(Perceptron(), (3, 64)), (Positions(), (3, 4))], ids=["weights alone", "tensors of its own"]
)
def test_everything_that_a_program_computes_with_is_on_its_device(module: nn.Module, shape: tuple[int, ...]) -> None:
    body, schema = exported(module, torch.randn(shape), dynamic={0: Dim("rows")}), schema_of(module)
    program = load(schema, body, META)
    data = np.zeros(schema.nbytes, np.uint8)
    weights = program.sources.weights(views(schema, data, META), program.frozen, 1.0)
    inputs = [torch.empty(shape, device=META)]
    (found,) = program.executable.run(weights, program.constants, inputs, running())  # raises where two devices meet
    assert (found.device, found.shape) == (META, module(torch.randn(shape)).shape)


def test_whatever_device_a_program_names_is_the_one_that_it_runs_on() -> None:
    nodes = (
        Node("aten.zeros.default", ([2],), {"device": TorchValue("as_device")}, ["named"]),
        Node("aten.zeros.default", ([2],), {}, ["unnamed"]),
        Node("aten.relu.default", (Ref("x"),), {}, ["out"]),
    )
    program = Program((Input("x", "F32", (None, 2)),), {}, {}, {}, nodes, ("out",))
    named, unnamed, relu = bind(program, META).steps
    assert (named.kwargs, unnamed.kwargs, relu.kwargs) == ({"device": META}, {"device": META}, {})
    assert [dict(step.kwargs) for step in bind(program).steps] == [{"device": devices.CPU}, {}, {}]


def test_bytes_stay_where_they_are_on_the_processor_and_go_elsewhere_in_one_piece() -> None:
    flat = torch.arange(16, dtype=torch.uint8)
    assert devices.place(flat, devices.CPU) is flat
    assert devices.place(flat, META).device == META
    assert devices.begin("cpu") is devices.CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has one")
def test_a_machine_without_a_gpu_says_so() -> None:
    with pytest.raises(InvalidParameters, match="cannot compute on cuda"):
        devices.begin("cuda")


NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
@pytest.mark.parametrize(
    ("make", "shape"),
    [(ResNet, (3, 16, 16)), (Mobile, (3, 16, 16)), (ShiftedWindows, (3, 16, 16)), (Perceptron, (64,))],
)
def test_a_device_answers_as_pytorch_does_on_the_processor(
    make: Callable[[], nn.Module], shape: tuple[int, ...], device: str
) -> None:
    module = make().eval()
    rows = torch.randn(4, *shape)
    body, schema, tensors = exported(module, rows), schema_of(module), plain(module)
    data = b"".join(tensors[spec.name].detach().contiguous().numpy().tobytes() for spec in schema.tensors)
    program = load(schema, body, devices.begin(device))
    (found,) = program.bind([(1.0, np.frombuffer(data, np.uint8))], 1.0, running())(rows.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(found, module(rows).numpy(), rtol=1e-4, atol=1e-4)
