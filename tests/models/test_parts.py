"""The parts of a run: where weights come from, how arrays go in and out, what a run may take."""

import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import (
    InvalidParameters,
    InvalidProgram,
    OperationCancelled,
    RunTooLarge,
    RunTooLong,
    SchemaMismatch,
)
from flstore_core.models.archive import Archive, RawTensor
from flstore_core.models.differences import add_base
from flstore_core.models.executor import Executable
from flstore_core.models.held import Held
from flstore_core.models.matching import sources
from flstore_core.models.program import Input, Node, Program, Ref
from flstore_core.models.runnable import Runnable, input_specs
from flstore_core.models.running import Limits, Running
from flstore_core.models.weights import mixture, strided, views
from flstore_core.schema import FLOATS, Schema, TensorSpec
from tests.fakes.clock import Clock


def raw(shape: tuple[int, ...], dtype: str = "F32", file: str = "f", offset: int = 0, data: bytes = b"") -> RawTensor:
    strides = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
    return RawTensor(memoryview(data), file, dtype, shape, strides, offset)


def taking(**parameters: str) -> Program:
    return Program((), parameters, {}, {}, (), ())


def schema(*tensors: tuple[str, str, tuple[int, ...]]) -> Schema:
    return Schema.of(TensorSpec(*tensor) for tensor in tensors)


def archive(**weights: RawTensor) -> Archive:
    return Archive({}, {name.replace("__", "."): tensor for name, tensor in weights.items()}, {})


class TestSources:
    """Parameters are matched with a job's tensors by name."""

    def test_stored_parameters_come_from_the_job_and_the_rest_from_the_archive(self) -> None:
        matched = sources(
            taking(p="w", q="frozen"),
            archive(w=raw((2,)), frozen=raw((3,), file="g")),
            schema(("w", "F32", (2,)), ("steps", "I64", ())),
        )
        assert matched.stored == {"w": "w"}
        assert set(matched.frozen) == {"frozen"}
        weights = matched.weights({"w": torch.ones(2)}, {"frozen": torch.zeros(3)}, 1.0)
        assert {name: tensor.tolist() for name, tensor in weights.items()} == {"w": [1, 1], "frozen": [0, 0, 0]}

    def test_a_tied_parameter_takes_the_tensor_it_shares_its_memory_with(self) -> None:
        tied = archive(
            embedding=raw((4, 2), file="e"), out=raw((4, 2), file="e"), other=raw((4, 2), file="e", offset=8)
        )
        matched = sources(taking(a="embedding", b="out", c="other"), tied, schema(("embedding", "F32", (4, 2))))
        assert matched.stored == {"embedding": "embedding", "out": "embedding"}
        assert set(matched.frozen) == {"other"}

    def test_an_adapter_is_added_to_its_frozen_weight(self) -> None:
        """W + s · B A with A = (1, 2), B = (3, 4)ᵀ and s = 0.5: W plus half of [[3, 6], [4, 8]]."""
        names = ("base_model.model.layer.lora_A.weight", "base_model.model.layer.lora_B.weight")
        matched = sources(
            taking(p="layer.weight"),
            archive(layer__weight=raw((2, 2))),
            schema((names[0], "F32", (1, 2)), (names[1], "F32", (2, 1))),
        )
        assert matched.adapted == {"layer.weight": names}
        stored = {names[0]: torch.tensor([[1.0, 2.0]]), names[1]: torch.tensor([[3.0], [4.0]])}
        weights = matched.weights(stored, {"layer.weight": torch.ones(2, 2)}, 0.5)
        assert weights["layer.weight"].tolist() == [[2.5, 4.0], [3.0, 5.0]]

    @pytest.mark.parametrize(("shape", "dtype"), [((3,), "F32"), ((2, 1), "F32"), ((2,), "F16")])
    def test_another_shape_or_dtype_is_refused(self, shape: tuple[int, ...], dtype: str) -> None:
        with pytest.raises(
            SchemaMismatch, match=r"parameter 'w' is F32 \[2\] in the program; the job's schema has"
        ) as caught:
            sources(taking(p="w"), archive(w=raw((2,))), schema(("w", dtype, shape)))
        assert caught.value.extensions == {"tensor": "w"}

    @pytest.mark.parametrize(("a", "b"), [((1, 3), (2, 1)), ((1, 2), (2, 2)), ((2,), (2, 1)), ((1, 2**20), (2**20, 1))])
    def test_an_adapter_of_another_shape_than_its_weight_is_refused(
        self, a: tuple[int, ...], b: tuple[int, ...]
    ) -> None:
        stored = schema(("layer.lora_A.weight", "F32", a), ("layer.lora_B.weight", "F32", b))
        with pytest.raises(SchemaMismatch, match=r"'layer\.weight' is \[2, 2\] in the program; the job's adapter is"):
            sources(taking(p="layer.weight"), archive(layer__weight=raw((2, 2))), stored)

    def test_an_adapted_weight_of_repeated_elements_which_would_swell_is_refused(self) -> None:
        repeated = RawTensor(memoryview(bytes(8)), "f", "F32", (2**20, 2**20), (0, 0), 0)
        stored = schema(("layer.lora_A.weight", "F32", (1, 2**20)), ("layer.lora_B.weight", "F32", (2**20, 1)))
        with pytest.raises(InvalidProgram, match="repeats elements of its file"):
            sources(taking(p="layer.weight"), archive(layer__weight=repeated), stored)

    def test_a_parameter_in_neither_is_refused(self) -> None:
        with pytest.raises(InvalidProgram, match="parameter 'x' is neither in the job's schema nor in the archive"):
            sources(taking(p="x"), archive(), schema(("w", "F32", (2,))))

    def test_a_stored_tensor_without_a_parameter_is_refused(self) -> None:
        stored = schema(("w", "F32", (2,)), ("head", "F32", (3,)), ("neck", "F32", (3,)))
        with pytest.raises(
            SchemaMismatch, match=r"stores 'head', for which the program has no parameter \(2 such tensors\)"
        ):
            sources(taking(p="w"), archive(w=raw((2,))), stored)


class TestWeights:
    """Tensors over one buffer, and their weighted sums."""

    @given(
        st.lists(st.tuples(st.sampled_from(sorted(FLOATS | {"I64", "U8"})), st.integers(0, 5)), min_size=1, max_size=6)
    )
    def test_views_have_the_bytes_that_the_schema_says(self, tensors: list[tuple[str, int]]) -> None:
        layout = schema(("w", "F32", (1,)), *((f"t{i}", dtype, (size,)) for i, (dtype, size) in enumerate(tensors)))
        data = np.arange(layout.nbytes).astype(np.uint8)
        offset = 0
        found = views(layout, data)
        for spec in layout.tensors:
            tensor = found[spec.name]
            assert tensor.view(torch.uint8).numpy().tobytes() == data[offset : offset + spec.nbytes].tobytes()
            offset += spec.nbytes

    @given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
    def test_a_mixture_is_numpys_weighted_sum(self, weights: list[float], seed: int) -> None:
        layout = schema(("w", "F32", (7,)), ("n", "I32", (2,)))
        rng = np.random.default_rng(seed)
        models = [rng.standard_normal(7).astype(np.float32) for _ in weights]
        datas = [
            np.frombuffer(model.tobytes() + np.array([i, i], np.int32).tobytes(), np.uint8).copy()
            for i, model in enumerate(models)
        ]
        mixed = views(layout, mixture(layout, list(zip(weights, datas, strict=True))))
        assert mixed["n"].tolist() == [0, 0], "integer tensors are those of the first"
        expected = sum(w * m.astype(np.float64) for w, m in zip(weights, models, strict=True))
        np.testing.assert_allclose(mixed["w"].numpy(), expected, rtol=1e-4, atol=1e-5)

    @given(st.integers(0, 2**32 - 1))
    def test_a_base_is_added_in_place_in_every_dtype(self, seed: int) -> None:
        layout = schema(*((code, code, (3,)) for code in ("F64", "I64", "F32", "F16", "BF16", "U8", "BOOL")))
        rng = np.random.default_rng(seed)
        sections = [np.zeros(layout.nbytes, np.uint8) for _ in range(2)]
        values = [{name: rng.integers(0, 200, 3) for name in ("F64", "I64", "F32", "F16", "BF16", "U8")} for _ in "ab"]
        for section, each in zip(sections, values, strict=True):
            for name, tensor in views(layout, section).items():
                tensor.copy_(torch.tensor([True, False, True]) if name == "BOOL" else torch.from_numpy(each[name]))
        before = sections[1].copy()
        add_base(layout, *sections)
        found = views(layout, sections[0])
        for name, tensor in found.items():
            if name == "BOOL":
                assert tensor.tolist() == [True, False, True]
                continue
            total = values[0][name] + values[1][name]
            assert torch.equal(tensor, torch.from_numpy(total % 256 if name == "U8" else total).to(tensor.dtype))
        np.testing.assert_array_equal(sections[1], before)

    @pytest.mark.parametrize(("code", "greatest"), [("F32", 3.4028234663852886e38), ("F16", 65504.0)])
    def test_a_sum_beyond_its_dtype_is_the_greatest_within_it(self, code: str, greatest: float) -> None:
        layout = schema(("w", code, (2,)))
        data = np.zeros(layout.nbytes, np.uint8)
        views(layout, data)["w"].copy_(torch.tensor([greatest, -greatest]))
        add_base(layout, data, data.copy())
        assert views(layout, data)["w"].tolist() == [greatest, -greatest]

    def test_a_strided_tensor_is_cut_from_its_file(self) -> None:
        data = np.arange(10, dtype=np.float32).tobytes() + b"\0"
        tensor = strided(RawTensor(memoryview(data), "f", "F32", (2, 3), (1, 2), 3))
        assert tensor.tolist() == [[3, 5, 7], [4, 6, 8]]
        assert strided(raw((0, 2))).shape == (0, 2)

    def test_a_dtype_that_pytorch_cannot_compute_with_is_refused(self) -> None:
        with pytest.raises(InvalidProgram, match="dtype U16 is not one that PyTorch computes with"):
            strided(raw((2,), "U16", data=bytes(4)))


def runnable(
    shape: tuple[int | None, ...] = (None, 2), dtype: str = "F32", batches: list[int] | None = None
) -> Runnable:
    """Return a model that doubles its input and notes the rows of each batch."""
    add = Node("aten.add.Tensor", (Ref("x"), Ref("x")), {}, ["out"])
    program = Program((Input("x", dtype, shape),), {}, {}, {}, (add,), ("out",))
    executable = Executable(program)
    run = executable.run

    def noted(weights: Any, constants: Any, inputs: Any, *rest: Any) -> Any:
        if batches is not None:
            batches.append(len(inputs[0]))
        return run(weights, constants, inputs, *rest)

    monitored: Any = executable
    monitored.run = noted
    return Runnable(executable, {}, {}, Running(Limits(), lambda: 0.0))


class TestRunnable:
    """Arrays in, arrays out."""

    def test_any_number_of_rows_runs_at_once_where_the_program_left_it_open(self) -> None:
        batches: list[int] = []
        rows = np.arange(10, dtype=np.float32).reshape(5, 2)
        (out,) = runnable(batches=batches)(rows)
        np.testing.assert_array_equal(out, 2 * rows)
        assert batches == [5]

    @given(st.integers(1, 12))
    def test_a_fixed_batch_is_filled_up_and_cut_off(self, count: int) -> None:
        batches: list[int] = []
        rows = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
        (out,) = runnable((4, 2), batches=batches)(rows)
        np.testing.assert_array_equal(out, 2 * rows)
        assert batches == [4] * math.ceil(count / 4)

    @pytest.mark.parametrize(
        ("given_dtype", "dtype"), [(np.float64, "F32"), (np.int8, "I64"), (np.float32, "F16"), (np.float64, "BF16")]
    )
    def test_a_dtype_of_the_same_kind_is_converted(self, given_dtype: Any, dtype: str) -> None:
        (out,) = runnable(dtype=dtype)(np.ones((1, 2), given_dtype))
        assert out.tolist() == [[2, 2]]

    def test_half_precision_comes_back_as_float32(self) -> None:
        for dtype in ("F16", "BF16"):
            (out,) = runnable(dtype=dtype)(np.ones((1, 2), np.float32))
            assert out.dtype == np.float32

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.ones((1, 2), np.complex64), "input 'x' is complex64; the program takes float32"),
            (np.ones((1, 3), np.float32), r"shape \[1, 3\]; the program takes \['any', 2\]"),
            (np.ones(2, np.float32), r"shape \[2\]; the program takes"),
            (np.ones((0, 2), np.float32), "input 'x' has no rows"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, array: Any, message: str) -> None:
        with pytest.raises(InvalidParameters, match=message):
            runnable()(array)

    def test_another_number_of_inputs_is_refused(self) -> None:
        with pytest.raises(InvalidParameters, match=r"takes 1 input\(s\) \(x\); 2 were passed"):
            runnable()(np.ones((1, 2)), np.ones((1, 2)))

    def test_read_only_arrays_are_taken_too(self) -> None:
        rows = np.frombuffer(np.ones(2, np.float32).tobytes(), np.float32).reshape(1, 2)
        (out,) = runnable()(rows)
        assert out.tolist() == [[2, 2]]

    def test_inputs_are_described_in_numpys_dtypes(self) -> None:
        program = Program((Input("a", "BF16", (None, 2)), Input("b", "I64", (3,))), {}, {}, {}, (), ())
        assert [(spec.name, spec.dtype, spec.shape) for spec in input_specs(program)] == [
            ("a", np.dtype(np.float32), (None, 2)),
            ("b", np.dtype(np.int64), (3,)),
        ]

    def test_a_result_that_is_no_tensor_is_refused(self) -> None:
        size = Node("aten.sym_size.int", (Ref("x"), 0), {}, ["out"])
        program = Program((Input("x", "F32", (None, 2)),), {}, {}, {}, (size,), ("out",))
        model = Runnable(Executable(program), {}, {}, Running(Limits(), lambda: 0.0))
        with pytest.raises(InvalidProgram, match="returns something other than a tensor"):
            model(np.ones((1, 2), np.float32))

    def test_neurons_of_all_batches_are_put_together(self) -> None:
        linear = Node("aten.linear.default", (Ref("x"), Ref("p")), {}, ["neurons"])
        program = Program((Input("x", "F32", (2, 2)),), {"p": "w"}, {}, {}, (linear,), ("neurons",))
        model = Runnable(Executable(program), {"w": torch.eye(2)}, {}, Running(Limits(), lambda: 0.0))
        rows = np.arange(6, dtype=np.float32).reshape(3, 2)
        assert {name: array.tolist() for name, array in model.neurons(rows).items()} == {"neurons": rows.tolist()}


class TestRunning:
    """What one run may take."""

    def test_time_runs_out_at_the_limit(self) -> None:
        clock = Clock()
        running = Running(Limits(seconds=5.0), clock)
        running.tell(2, 10)
        clock.now = 5.0
        running.check()
        clock.now = 5.1
        with pytest.raises(RunTooLong, match=r"ended after 5 s with 2 of 10 steps done; .* raise FLSTORE_RUN_SECONDS"):
            running.check()

    def test_another_thread_may_end_a_run(self) -> None:
        running = Running(Limits(), lambda: 0.0)
        thread = threading.Thread(target=running.cancel)
        thread.start()
        thread.join()
        with pytest.raises(OperationCancelled, match="nobody is waiting for this run any more"):
            running.tell(1, 2)
        assert running.progress == (1, 2)

    def test_memory_is_counted_by_storage_and_given_back(self) -> None:
        held = Held(100, ())
        tensor = torch.zeros(20)
        held.take(tensor, "first")
        held.take(tensor.view(4, 5), "view")
        with pytest.raises(
            RunTooLarge, match=r"with operator second the program's results hold 160 B, and 100 B are allowed"
        ):
            held.take(torch.zeros(20), "second")

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=40))
    def test_the_count_is_that_of_the_distinct_storages_in_use(self, events: list[tuple[bool, int]]) -> None:
        tensors = [torch.zeros(size + 1, dtype=torch.uint8) for size in range(5)]
        held, in_use = Held(10**6, ()), [0] * 5
        for take, which in events:
            if take:
                held.take(tensors[which][:1], "op")
                in_use[which] += 1
            elif in_use[which]:
                held.leave(tensors[which])
                in_use[which] -= 1
            assert held._total == sum(which + 1 for which, users in enumerate(in_use) if users)

    def test_weights_inputs_and_numbers_do_not_count(self) -> None:
        weights = torch.zeros(1000)
        held = Held(8, [weights.untyped_storage().data_ptr()])
        values: Mapping[str, object] = {"view of weights": weights[:10], "number": 7, "nothing": None}
        for name, value in values.items():
            held.take(value, name)
            held.leave(value)
