"""Programs that are made to read or write other memory, or to take all of it, end with the job's error."""

import operator
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flstore_core.errors import FLStoreError, InvalidProgram, RunTooLarge
from flstore_core.models import admission
from flstore_core.models.binding import bind
from flstore_core.models.executor import Executable
from flstore_core.models.program import Input, Node, Operand, Program, Ref, TorchValue, parse_program
from flstore_core.models.rehearsal import needed_bytes
from flstore_core.models.running import Limits, Running

CASES = int(os.environ.get("FLSTORE_FUZZ_CASES", "1000"))
X = Ref("x")
LEAST = -(2**63)


def program(*nodes: Node, inputs: int = 1) -> Program:
    names = ("x", "y", "z")[:inputs]
    return Program(tuple(Input(name, "F32", ()) for name in names), {}, {}, {}, nodes, ("out",))


def node(name: str, *args: Operand, result: str = "out", **kwargs: Operand) -> Node:
    return Node(f"aten.{name}", args, kwargs, [result])


def run(given: Program, *inputs: Tensor, nbytes: int = 2**20) -> Any:
    return Executable(given).run({}, {}, list(inputs), Running(Limits(nbytes=nbytes), lambda: 0.0))[0]


def test_an_alias_with_sizes_and_strides_of_its_own_is_not_among_the_operators() -> None:
    call = {"target": "torch.ops.aten._reshape_alias.default", "inputs": [], "outputs": []}
    graph = {"nodes": [call], "tensor_values": {}}
    module = {"graph": graph, "signature": {"input_specs": [], "output_specs": []}}
    with pytest.raises(InvalidProgram, match="_reshape_alias"):
        parse_program({"schema_version": {"major": 8}, "graph_module": module})


@pytest.mark.parametrize(
    "name",
    ["sort.values", "sort.values_stable", "topk.values", "max.dim_max", "median.dim_values", "xlogy.OutTensor"],
)
def test_an_overload_that_writes_to_an_operand_is_refused_whatever_it_is_called(name: str) -> None:
    with pytest.raises(InvalidProgram, match="writes to an operand"):
        bind(program(node(name, X)))


@pytest.mark.parametrize("name", ["mul.left_t", "add.t", "add.str", "copy.Dict_str", "slice.str", "index.list_Tensor"])
def test_an_overload_over_lists_and_texts_is_refused(name: str) -> None:
    with pytest.raises(InvalidProgram, match="not among those"):
        bind(program(node(name, X)))


@pytest.mark.parametrize("name", ["lstm.data", "tensor_split.tensor_indices_or_sections"])
def test_an_overload_that_takes_sizes_from_a_tensor_is_refused(name: str) -> None:
    with pytest.raises(InvalidProgram, match="not among those"):
        bind(program(node(name, X)))


ONE, FOUR, WIDE = torch.ones(1), torch.ones(4), torch.ones(1, 4, 9)
QUERY = torch.ones(1, 1, 90, 8)
NORM: Sequence[Any] = (0.1, 1e-5)
HOSTILE: dict[str, tuple[str, tuple[Operand, ...], tuple[Tensor, ...], str]] = {
    "statistics of another length": (
        "native_batch_norm.default", (X, None, None, Ref("y"), Ref("y"), False, *NORM), (WIDE, ONE), "running_mean"
    ),
    "statistics of another length, without training": (
        "_native_batch_norm_legit_no_training.default", (X, None, None, Ref("y"), Ref("y"), *NORM), (WIDE, ONE),
        "running_mean has shape",
    ),
    "a weight of another length": (
        "native_batch_norm.default", (X, Ref("y"), None, None, None, True, *NORM), (WIDE, ONE), "weight has shape"
    ),
    "statistics through a composite": (
        "instance_norm.default", (X, None, None, Ref("y"), Ref("y"), False, *NORM, False), (WIDE, ONE), "running_mean"
    ),
    "statistics that would be written to": (
        "native_batch_norm.default", (X, None, None, Ref("y"), Ref("y"), True, *NORM), (WIDE, FOUR), "would write"
    ),
    "no statistics": (
        "native_batch_norm.default", (X, None, None, None, None, False, *NORM), (WIDE,), "both running statistics"
    ),
    "statistics of another dtype": (
        "native_batch_norm.default", (X, None, None, Ref("y"), Ref("z"), False, *NORM), (WIDE, FOUR, FOUR.long()),
        "other types",
    ),
    "no channels": ("native_batch_norm.default", (X, None, None, None, None, True, *NORM), (ONE,), "channels"),
    "groups of another tensor": (
        "native_group_norm.default", (X, None, None, 9, 4, 9, 2, 1e-5), (WIDE,), "N, C and HxW"
    ),
    "groups that do not divide": ("native_group_norm.default", (X, None, None, 1, 4, 9, 3, 1e-5), (WIDE,), "3 groups"),
    "groups out of order": (
        "native_group_norm.default", (X, None, None, 1, 9, 4, 3, 1e-5), (WIDE.transpose(1, 2),), "in order"
    ),
    "a norm over other dimensions": (
        "native_layer_norm.default", (X, [4], None, None, 1e-5), (WIDE,), "is not the end"
    ),
    "attention to another tensor": (
        "_scaled_dot_product_flash_attention_for_cpu.default", (X, Ref("y"), Ref("z")),
        (QUERY, QUERY, QUERY[:, :, :1]), "value has shape",
    ),
    "attention to fewer heads": (
        "_scaled_dot_product_flash_attention_for_cpu.default", (X, Ref("y"), Ref("y")),
        (QUERY.expand(1, 2, 90, 8), QUERY), "batch or heads",
    ),
    "attention across rows": (
        "_scaled_dot_product_flash_attention_for_cpu.default", (X, X, X),
        (QUERY.transpose(2, 3).contiguous().transpose(2, 3),), "row by row",
    ),
    "a mask of another size": (
        "scaled_dot_product_attention.default", (X, X, X, Ref("y")), (QUERY, torch.ones(2, 3)), "attn_mask has shape"
    ),
    "attention with dropout": ("scaled_dot_product_attention.default", (X, X, X, None, 0.5), (QUERY,), "random"),
    "weights of another layer": (
        "lstm.input", (X, [Ref("y"), Ref("y")], [Ref("z")] * 4, True, 1, 0.0, False, False, False),
        (torch.ones(5, 4, 8), torch.zeros(1, 4, 16), ONE), "a weight has shape",
    ),
    "too few weights": (
        "gru.input", (X, Ref("y"), [Ref("z")] * 4, True, 2, 0.0, False, False, False),
        (torch.ones(5, 4, 8), torch.zeros(2, 4, 16), ONE), "are not those of 2 layers",
    ),
    "a layer in training": (
        "gru.input", (X, X, [X], True, 1, 0.5, True, False, False), (torch.ones(5, 4, 8),), "evaluation mode"
    ),
    "an unknown mode, whose result nobody writes": (
        "grid_sampler_2d.default", (X, Ref("y"), 7, 9, False), (torch.ones(1, 1, 4, 4), torch.ones(1, 4, 4, 2)), "mode"
    ),
    "a scale of other sizes": (
        "upsample_nearest1d.default", (X, [9], 1e-300), (WIDE,), "does not make 9 of 9"
    ),
    "the median of repeated elements": ("median.dim", (X, 0), (torch.ones(1).expand(4, 4),), "repeated"),
    "bytes as booleans": (
        "view.dtype", (X, TorchValue("as_scalar_type", 12)), (torch.ones(4, dtype=torch.uint8),), "compare them with 0"
    ),
    "a division that ends the process": (
        "div.Scalar_mode", (X, -1), (torch.tensor([LEAST]),), "least integer"
    ),
    "repeats whose sum is too large": (
        "repeat_interleave.Tensor", (X,), (torch.tensor([2**62] * 4 + [3]),), "at least 0"
    ),
    "random numbers": ("dropout.default", (X, 0.5, True), (WIDE,), "random"),
    "a size out of all proportion": ("roll.default", (X, [LEAST], [0]), (FOUR,), "out of all proportion"),
    "more elements than can be counted": ("expand.default", (X, [2**30, 2**30, 1]), (ONE,), "too many elements"),
    "a size below nothing": ("expand.default", (X, [-2, 0]), (torch.ones(1, 0),), "no shape"),
    "an operand too few": ("native_layer_norm.default", (X,), (WIDE,), "it takes input, normalized_shape"),
    "a weight of another norm": (
        "native_layer_norm.default", (X, [9], Ref("y"), None, 1e-5), (WIDE, FOUR), "weight has shape"
    ),
    "attention between other widths": (
        "scaled_dot_product_attention.default", (X, Ref("y"), Ref("y")), (QUERY, torch.ones(1, 1, 90, 4)), "last size"
    ),
    "a layer of two dtypes": (
        "gru.input", (X, Ref("y"), [Ref("z")] * 4, True, 1, 0.0, False, False, False),
        (torch.ones(5, 4, 8), torch.zeros(1, 4, 16), ONE.double()), "one dtype",
    ),
    "groups over one dimension": ("native_group_norm.default", (X, None, None, 4, 1, 1, 1, 1e-5), (FOUR,), "1 groups"),
    "numbers as a mask": ("masked_select.default", (X, X), (FOUR,), "must be boolean"),
    "repeats that are no list": ("repeat_interleave.Tensor", (X,), (torch.ones(2, 2),), "list of integers"),
    "a median of one dimension more": ("median.dim", (X, 9), (FOUR,), "Dimension out of range"),
    "parts of a number": ("unbind.int", (X,), (ONE[0],), "failed"),
    "too many sections": ("tensor_split.sections", (X, 2**20), (FOUR,), "16384 parts"),
    "more parts than memory has": ("unbind.int", (X,), (ONE.expand(2**20),), "16384 parts"),
    "an average by a negative number": (
        "avg_pool2d.default", (X, [1, 1], [1, 1], [0, 0], False, True, -1), (torch.ones(1, 1, 2, 2),), "divisor"
    ),
    "an index beyond the tensor": ("index.Tensor", (X, [Ref("y")]), (FOUR, torch.tensor([9])), "out of bounds"),
    "a mask of too many dimensions": (
        "index.Tensor", (X, [Ref("y")]), (FOUR, torch.ones(4, 4, dtype=torch.bool)), "2 indices for 1"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_kernel_takes_on_trust_is_checked(name: str) -> None:
    operator_name, args, tensors, message = HOSTILE[name]
    kwargs: dict[str, Operand] = {"rounding_mode": "trunc"} if operator_name.startswith("div") else {}
    with pytest.raises(InvalidProgram, match=message):
        run(program(node(operator_name, *args, **kwargs), inputs=len(tensors)), *tensors)


def test_weights_are_not_written_to_through_a_list_of_views() -> None:
    held = torch.ones(4)
    steps = (node("unbind.int", X, result="parts"), Node("_operator.getitem", (Ref("parts"), 0), {}, ["part"]))
    with pytest.raises(InvalidProgram, match="would write to the model's weights or inputs"):
        run(program(*steps, node("fill_.Scalar", Ref("part"), 7.0)), held)
    assert held.tolist() == [1, 1, 1, 1]


class TestMemory:
    """A step is refused before it takes what is not allowed."""

    def test_a_view_costs_nothing_and_its_copy_is_refused_before_it_is_made(self) -> None:
        view = node("expand.default", X, [2**20, 2**18], result="view")
        assert run(program(view, node("slice.Tensor", Ref("view"), 0, 0, 1)), ONE).shape == (1, 2**18)
        with pytest.raises(RunTooLarge, match=r"aten\.clone\.default the program's results hold 1\.0 TiB"):
            run(program(view, node("clone.default", Ref("view"))), ONE)

    def test_a_view_with_repeated_elements_counts_as_its_copy_where_it_is_computed_with(self) -> None:
        view = node("expand.default", X, [2**10, 2**10], result="view")
        with pytest.raises(RunTooLarge, match=r"aten\.sum\.default"):
            run(program(view, node("sum.default", Ref("view"))), ONE)

    def test_what_a_composite_operator_allocates_on_its_way_counts(self) -> None:
        with pytest.raises(RunTooLarge, match=r"aten\.cosine_similarity\.default"):
            run(program(node("cosine_similarity.default", X, Ref("y"), 2), inputs=2), torch.ones(1, 2**9, 2**9),
                torch.ones(4, 1, 2**9))  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "args", "tensor"),
        [
            ("nonzero.default", (X,), torch.ones(2**18)),
            ("where.default", (X,), torch.ones(2**18, dtype=torch.bool)),
            ("one_hot.default", (X,), torch.tensor([2**20])),
            ("repeat_interleave.Tensor", (X,), torch.tensor([2**20])),
            ("repeat_interleave.self_Tensor", (X, X), torch.tensor([2**20])),
            ("repeat_interleave.self_Tensor", (X, X, 0), torch.tensor([2**20])),
            ("index.Tensor", (X, [X]), torch.ones(2**21, dtype=torch.bool)),
            ("masked_select.default", (X, X), torch.ones(2**21, dtype=torch.bool)),
            ("linspace.Tensor_Scalar", (X, 2.0, 2**20), torch.tensor(1.0)),
            ("full.default", ([2**20], 1.0), ONE),
        ],
    )
    def test_results_whose_size_depends_on_values_or_numbers_count(
        self, name: str, args: tuple[Operand, ...], tensor: Tensor
    ) -> None:
        with pytest.raises(RunTooLarge, match=f"aten.{name}"):
            run(program(node(name, *args)), tensor)

    def test_a_list_of_results_under_one_name_counts(self) -> None:
        """512 KiB of places, and as much again once they are put in a row."""
        steps = (node("where.default", X, result="places"), node("cat.default", Ref("places")))
        mask = torch.ones(2**16, dtype=torch.bool)
        assert run(program(*steps), mask, nbytes=2**20).shape == (2**16,)
        with pytest.raises(RunTooLarge, match=r"aten\.cat\.default"):
            run(program(*steps), mask, nbytes=2**20 - 1)


class TestSizes:
    """What is done with sizes is done with numbers."""

    @pytest.mark.parametrize(
        ("name", "left", "right"),
        [("mul", [0], 2**40), ("mul", "a", 2**40), ("mod", "%1000000000d", 1), ("mul", 2**40, 2**40), ("add", X, X)],
    )
    def test_lists_texts_tensors_and_endless_integers_are_refused(self, name: str, left: Any, right: Any) -> None:
        with pytest.raises(InvalidProgram, match=r"not numbers|out of all proportion"):
            run(program(Node(f"_operator.{name}", (left, right), {}, ["out"])), FOUR)

    def test_numbers_are_computed_with(self) -> None:
        assert run(program(Node("_operator.floordiv", (7, 2), {}, ["out"])), FOUR) == operator.floordiv(7, 2)

    def test_only_a_part_of_several_results_is_taken(self) -> None:
        with pytest.raises(InvalidProgram, match="part of several results"):
            run(program(Node("_operator.getitem", (X, 0), {}, ["out"])), FOUR)


@pytest.mark.parametrize(
    ("steps", "tensors", "expected"),
    [
        ([node("index.Tensor", X, [Ref("y")])], [FOUR, torch.tensor([True, False, True, True])], [1, 1, 1]),
        ([node("index_put.default", X, [Ref("y")], Ref("z"))], [FOUR, FOUR > 2, ONE], [1, 1, 1, 1]),
        ([node("repeat_interleave.self_Tensor", X, Ref("y"))], [FOUR[:2], torch.tensor([2, 1])], [1, 1, 1]),
        ([node("narrow.Tensor", X, 0, Ref("y"), 2)], [FOUR, torch.tensor(1)], [1, 1]),
        ([node("index_fill.int_Tensor", X, 0, Ref("y"), Ref("z"))], [FOUR, torch.tensor([1]), ONE[0]], [1, 1, 1, 1]),
        ([node("masked_select.default", X, Ref("y"))], [FOUR, FOUR > 0], [1, 1, 1, 1]),
        ([node("div.Tensor_mode", X, Ref("y"), rounding_mode="trunc")], [FOUR, FOUR], [1, 1, 1, 1]),
        ([node("clone.default", X, result="a"), node("div_.Scalar_mode", Ref("a"), 2, rounding_mode="trunc")],
         [FOUR.long()], [0, 0, 0, 0]),
        ([node("repeat_interleave.self_Tensor", X, Ref("y"), 0)], [FOUR[:2], torch.tensor(2)], [1, 1, 1, 1]),
        ([node("native_group_norm.default", X, None, None, 1, 2, 4, 1, 1e-5, result="n"),
          Node("_operator.getitem", (Ref("n"), 1), {}, ["out"])],
         [torch.ones(1, 2, 2, 2).contiguous(memory_format=torch.channels_last)], [[1]]),
        ([node("where.ScalarOther", X, Ref("y"), 0.0)], [FOUR > 2, FOUR], [0, 0, 0, 0]),
        ([node("avg_pool2d.default", X, [2, 2])], [torch.ones(1, 2, 2)], [[[1]]]),
        ([node("scaled_dot_product_attention.default", X, X, X, Ref("y"), result="a"),
          node("sum.default", Ref("a"))], [torch.ones(1, 1, 2, 4), torch.ones(2, 1)], 8),
        ([node("scaled_dot_product_attention.default", X, Ref("y"), Ref("y"), enable_gqa=True, result="a"),
          node("sum.default", Ref("a"))], [torch.ones(1, 4, 2, 4), torch.ones(1, 2, 2, 4)], 32),
        ([node("one_hot.default", X)], [torch.tensor([1, 0])], [[0, 1], [1, 0]]),
        ([node("item.default", X, result="n"), node("full.default", [2], Ref("n"))], [ONE], [1, 1]),
    ],
)  # fmt: skip
def test_what_fits_is_answered(steps: list[Node], tensors: list[Tensor], expected: Any) -> None:
    assert run(program(*steps, inputs=len(tensors)), *tensors).tolist() == expected


def test_operands_of_one_kind_are_rehearsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsed: list[tuple[int, ...]] = []

    def noted(call: Any, args: Any, kwargs: Any) -> int:
        rehearsed.append(tuple(args[0].shape))
        return needed_bytes(call, args, kwargs)

    monkeypatch.setattr(admission, "needed_bytes", noted)
    executable = Executable(program(node("relu.default", X)))
    for rows in (2, 2, 3, 2):
        executable.run({}, {}, [torch.ones(rows)], Running(Limits(), lambda: 0.0))
    assert rehearsed == [(2,), (3,)]
    for rows in range(admission.REMEMBERED + 1):
        executable.run({}, {}, [torch.ones(rows)], Running(Limits(), lambda: 0.0))
    (known,) = executable._admission._known.values()
    assert len(known) < admission.REMEMBERED


def test_operators_with_any_operands_touch_nothing_but_their_own(tmp_path: Path) -> None:
    """`FLSTORE_FUZZ_CASES` tries more; a process that is ended by a case leaves its number."""
    progress = tmp_path / "progress"
    command = [sys.executable, "-m", "tests.models.fuzzing", "--count", str(CASES), "--progress", str(progress)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"case {progress.read_text()}: {done.stdout} {done.stderr[-2000:]}"
    assert f"{CASES} cases" in done.stdout


def test_every_error_of_a_hostile_program_is_the_jobs() -> None:
    assert {InvalidProgram.status, RunTooLarge.status} == {422, 507}
    assert issubclass(InvalidProgram, FLStoreError)
