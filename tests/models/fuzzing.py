"""Calls every operator that programs may use with operands that nobody would pass, and watches memory.

    python -m tests.models.fuzzing --first 0 --count 100000

Operands lie in memory that can only be read, and end (or begin) at a page that cannot be touched at all: a kernel that
reads one number too many ends the process, and one that writes to an operand too. What `malloc` hands out is filled
with one pattern in a first call and with another in a second: where the answers differ, the kernel has left part of its
result as the memory was. An answer must also be what PyTorch gives for copies of the operands.

A case is made from its number alone, so that it can be made again after it has ended the process. The number of the
case under way goes to a file before it runs. `tests.predictor.confined.test_fuzzed_programs` has hypothesis choose
cases instead, and runs them in processes that may end.
"""

import argparse
import ctypes
import mmap
import os
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from flstore_core.errors import FLStoreError, InvalidProgram
from flstore_core.models.contracts import Function, check_overload, tensors_of
from flstore_core.models.executor import Executable
from flstore_core.models.operators import ATEN
from flstore_core.models.program import Input, Node, Operand, Program, Ref, TorchValue
from flstore_core.models.running import Limits, Running
from flstore_core.models.torch_values import operator_named, torch_value
from tests.models.recipes import RECIPES, Of, Recipe

LIMITS = Limits(nbytes=4 * 2**20)
PAGE = mmap.PAGESIZE
ROOM = 8 * PAGE
M_PERTURB = -6
PATTERNS = (0x55, 0xAA)
DTYPES = (torch.float32,) * 8 + (torch.float64, torch.int64, torch.int64, torch.int32, torch.bool, torch.uint8)
RARE = (torch.float16, torch.bfloat16, torch.int8, torch.complex64)
SIZES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 8, 9)
HUGE = (2**31, 2**33, 2**62, 2**63 - 1, -(2**63), -(2**31))
NUMBERS = (0.0, 1.0, 0.5, -1.0, 2.0, 1e-5, 1e-300, 1e30, float("inf"), float("nan"))
TEXTS = "none tanh floor trunc reflect constant replicate sum prod mean amax amin multiply add ij xy same valid"
EQUATIONS = ("ij,jk->ik", "i,i->", "ij->ji", "bij,bjk->bik", "ii->i", "...i,...i")

libc = ctypes.CDLL(None)


class Arena:
    """A few pages between two that cannot be touched."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ROOM + 2 * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._start = start + PAGE
        for page in (start, start + PAGE + ROOM):
            assert libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0) == 0

    def place(self, flat: Tensor, *, right: bool) -> Tensor:
        """Return a copy of a flat tensor at the end, or the beginning, of the pages, which can be read only."""
        nbytes = flat.numel() * flat.itemsize
        if not 0 < nbytes <= ROOM:
            return flat.clone()
        self._protect(mmap.PROT_READ | mmap.PROT_WRITE)
        at = self._start + (ROOM - nbytes if right else 0)
        placed = torch.frombuffer((ctypes.c_char * nbytes).from_address(at), dtype=torch.uint8).view(flat.dtype)
        placed.copy_(flat)
        self._protect(mmap.PROT_READ)
        return placed

    def _protect(self, how: int) -> None:
        assert libc.mprotect(ctypes.c_void_p(self._start), ctypes.c_size_t(ROOM), how) == 0


@cache
def arenas() -> list[Arena]:
    return [Arena() for _ in range(24)]


@cache
def functions() -> list[Function]:
    """Return all overloads that programs may use, in-place variants too."""
    found = []
    for name in sorted(ATEN):
        for packet in (getattr(torch.ops.aten, each, None) for each in (name, f"{name}_")):
            for overload in packet.overloads() if packet else ():
                function = getattr(packet, overload)
                try:
                    check_overload(function)
                except InvalidProgram:
                    continue
                found.append(function)
    return found


@dataclass(frozen=True)
class Laid:
    """A tensor as it is to lie in memory: its numbers in order, and how they are read."""

    flat: Tensor
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    right: bool
    """Whether it ends where a guard page begins; otherwise it begins where one ends."""

    def placed(self, arena: Arena) -> Tensor:
        flat = arena.place(self.flat, right=self.right)
        return flat.as_strided(self.shape, self.strides) if flat.numel() else flat.reshape(self.shape)


@dataclass
class Case:
    """A program of a few steps, the last of which makes `out`, and its inputs."""

    nodes: Sequence[Node]
    laid: Sequence[Laid]

    @cached_property
    def tensors(self) -> list[Tensor]:
        return [each.placed(arenas()[place % len(arenas())]) for place, each in enumerate(self.laid)]

    def program(self) -> Program:
        inputs = tuple(Input(f"x{i}", "F32", ()) for i in range(len(self.laid)))
        return Program(inputs, {}, {}, {}, tuple(self.nodes), ("out",))

    def eager(self) -> Any:
        """Return what PyTorch gives for copies of the inputs."""
        values: dict[str, Any] = {f"x{i}": tensor.clone() for i, tensor in enumerate(self.tensors)}

        def value(operand: Operand) -> Any:
            match operand:
                case Ref(name):
                    return values[name]
                case list():
                    return [value(each) for each in operand]
                case TorchValue():
                    return torch_value(operand)
            return operand

        with torch.inference_mode():
            for node in self.nodes:
                kwargs = {name: value(operand) for name, operand in node.kwargs.items()}
                result = operator_named(node.operator)(*[value(operand) for operand in node.args], **kwargs)
                values[str(node.results[0])] = result
        return values["out"]

    def __str__(self) -> str:
        return ", ".join(node.operator for node in self.nodes)


SCALAR_TYPES = (1, 5, 7, 8, 12)
"""Codes of uint8, int64, float32, float64 and bool."""


def _chained(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield the steps with names of their own for what they make; inputs are copied for what writes to them."""
    for place, node in enumerate(nodes):
        before = f"r{place - 1}"
        args = tuple(Ref(before) if arg == Ref("out") else arg for arg in node.args)
        kwargs = {name: Ref(before) if arg == Ref("out") else arg for name, arg in node.kwargs.items()}
        if node.operator.split(".")[1].endswith("_") and isinstance(args[0], Ref) and args[0].name.startswith("x"):
            yield Node("aten.clone.default", args[:1], {}, [f"own{place}"])
            args = (Ref(f"own{place}"), *args[1:])
        yield Node(node.operator, args, kwargs, ["out" if place == len(nodes) - 1 else f"r{place}"])


class Maker:
    """Makes a case from what is chosen at random, or by hypothesis."""

    def __init__(self, chosen: random.Random) -> None:
        self._random = chosen
        self._tensors: list[Laid] = []
        self._shapes = [self._shape(self._random.choice((1, 2, 2, 3, 3, 4, 4, 5))) for _ in range(2)]
        self._maker = torch.Generator().manual_seed(chosen.randrange(2**16))

    def case(self) -> Case:
        if self._random.random() < 1 / 3:
            nodes = [self._spoiled(*self._random.choice(sorted(RECIPES.items(), key=lambda pair: pair[0])))]
        else:
            nodes = [self._called(self._random.choice(functions()))]
        for _ in range(self._random.choice((0, 0, 0, 1, 1, 2))):
            nodes.append(self._called(self._random.choice(functions()), Ref("out")))
        return Case(list(_chained(nodes)), self._tensors)

    def _called(self, function: Function, first: Ref | None = None) -> Node:
        """Return a call of an operator; `first` is its first tensor, if it has one."""
        args: list[Operand] = []
        kwargs: dict[str, Operand] = {}
        for argument in function._schema.arguments:
            kind = str(argument.real_type)
            operand: Operand
            if kind == "Tensor" and first is not None:
                operand, first = first, None
            elif argument.has_default_value() and self._random.random() < 0.4:
                if argument.kwarg_only:
                    continue
                operand = argument.default_value
            else:
                operand = self._operand(kind, argument.name, function)
            if argument.kwarg_only:
                kwargs[argument.name] = operand
            else:
                args.append(operand)
        return Node(str(function), tuple(args), kwargs, ["out"])

    def _spoiled(self, name: str, recipe: Recipe) -> Node:
        """Return a call with a recipe's operands; in half of them one is another than it should be."""
        parts = recipe(self._random)
        if self._random.random() < 0.5:
            place = self._random.randrange(len(parts))
            parts[place] = self._other(parts[place])
        return Node(name, tuple(map(self._made, parts)), {}, ["out"])

    def _other(self, part: Any) -> Any:
        chosen = self._random
        match part:
            case Of(shape, kind):
                sizes = list(shape) or [1]
                sizes[chosen.randrange(len(sizes))] = chosen.choice(SIZES)
                return chosen.choice((Of(tuple(sizes), kind), Of(tuple(sizes[1:]), kind), Of(shape, 99), None))
            case list() if part:
                place = chosen.randrange(len(part))
                return [*part[:place], self._other(part[place]), *part[place + 1 :]]
            case bool():
                return not part
            case int():
                return self._integer()
            case float():
                return chosen.choice(NUMBERS)
        return part

    def _made(self, part: Any) -> Operand:
        if isinstance(part, list):
            return [self._made(each) for each in part]
        if not isinstance(part, Of):
            return part
        if part.kind == "float":
            tensor = self._laid_out(part.shape, self._random.choice((torch.float32,) * 9 + (torch.float64,)))
        elif part.kind == "bool":
            tensor = self._laid_out(part.shape, torch.bool)
        else:
            tensor = self._laid_out(part.shape, torch.int64, part.kind)
        self._tensors.append(tensor)
        return Ref(f"x{len(self._tensors) - 1}")

    def _operand(self, kind: str, name: str, function: Function) -> Operand:
        chosen = self._random
        if kind.startswith("Optional["):
            return None if chosen.random() < 0.4 else self._operand(kind[9:-1], name, function)
        if kind.startswith("List["):
            if "Tensor" in kind:
                return [self._operand(kind[5:-1], name, function) for _ in range(chosen.choice((1, 1, 2, 2, 3, 4, 8)))]
            return self._list(kind)
        if kind == "Tensor":
            self._tensors.append(self._tensor(name))
            return Ref(f"x{len(self._tensors) - 1}")
        if kind == "str":
            return chosen.choice(EQUATIONS if "einsum" in str(function) else TEXTS.split())
        return self._plain(kind)

    def _plain(self, kind: str) -> Operand:
        chosen = self._random
        makers: dict[str, Callable[[], Operand]] = {
            "int": self._integer,
            "SymInt": self._integer,
            "bool": lambda: chosen.random() < 0.3,
            "float": lambda: chosen.choice(NUMBERS),
            "number": lambda: self._integer() if chosen.random() < 0.5 else chosen.choice(NUMBERS),
            "ScalarType": lambda: TorchValue("as_scalar_type", chosen.choice(SCALAR_TYPES)),
            "MemoryFormat": lambda: TorchValue("as_memory_format", chosen.choice((1, 2, 4))),
            "Device": lambda: TorchValue("as_device"),
            "Layout": lambda: TorchValue("as_layout", 7),
        }
        return makers[kind]()

    def _integer(self) -> int:
        if self._random.random() < 0.03:
            return self._random.choice(HUGE)
        return self._random.choice((0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 5, 9, -1, -1, -2, -3, 100))

    def _list(self, kind: str) -> Operand:
        if "bool" in kind:
            return [self._random.random() < 0.5 for _ in range(self._random.choice((1, 2, 2, 3)))]
        if "float" in kind:
            return [self._random.choice(NUMBERS) for _ in range(self._random.choice((1, 2, 3)))]
        if self._random.random() < 0.35:
            shape = list(self._random.choice(self._shapes))
            return shape[self._random.randrange(3) :] if self._random.random() < 0.5 else shape
        return [self._integer() for _ in range(self._random.choice((0, 1, 1, 1, 2, 2, 2, 3, 4, 6)))]

    def _shape(self, dims: int) -> tuple[int, ...]:
        return tuple(self._random.choice(SIZES) for _ in range(dims))

    def _tensor(self, name: str) -> Laid:
        """Return a tensor of one of the case's shapes, or of one that nearly is, or of channels, or any other."""
        chosen, base = self._random, list(self._random.choice(self._shapes))
        match chosen.randrange(10):
            case 0:
                shape = self._shape(chosen.randrange(5))
            case 1 if base:
                base[chosen.randrange(len(base))] = chosen.choice(SIZES)
                shape = tuple(base)
            case 2 | 3 if len(base) > 1:
                shape = (base[1],)
            case 4 if base:
                shape = tuple(base[chosen.randrange(len(base)) :])
            case 5:
                shape = tuple(1 if chosen.random() < 0.4 else size for size in base)
            case _:
                shape = tuple(self._shapes[0])
        places = name in ("index", "indices", "repeats", "tensor_indices_or_sections")
        dtype = torch.int64 if places and chosen.random() < 0.9 else chosen.choice(DTYPES)
        if name in ("mask", "condition") and chosen.random() < 0.8:
            dtype = torch.bool
        return self._laid_out(shape, chosen.choice(RARE) if chosen.random() < 0.05 else dtype)

    def _laid_out(self, shape: tuple[int, ...], dtype: torch.dtype, bound: int | None = None) -> Laid:
        """Return a tensor with its elements in order, turned round, repeated or spread, flush with a guard page."""
        chosen = self._random
        right = chosen.random() < 0.7
        how = chosen.choice(("plain", "plain", "plain", "turned", "repeated", "spread"))
        repeated = [how == "repeated" and chosen.random() < 0.5 for _ in shape]
        strides, stride = [0] * len(shape), 1
        order = list(range(len(shape)))[::-1]
        if how == "turned":
            chosen.shuffle(order)
        for dim in order:
            if not repeated[dim]:
                strides[dim] = stride * (2 if how == "spread" and dim == len(shape) - 1 else 1)
                stride = max(strides[dim] * shape[dim], 1)
        count = 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True)) if 0 not in shape else 0
        return Laid(self._values(count, dtype, bound), shape, tuple(strides), right)

    def _values(self, count: int, dtype: torch.dtype, bound: int | None = None) -> Tensor:
        if dtype.is_floating_point or dtype.is_complex:
            values = torch.randn(count, generator=self._maker)
            if count and self._random.random() < 0.15:
                values[self._random.randrange(count)] = self._random.choice(NUMBERS)
            return values.to(dtype)
        least = 0 if bound or self._random.random() < 0.8 else -3
        if bound is not None and bound < 0:
            least, bound = bound, -bound
        values = torch.randint(least, bound or self._random.choice((2, 2, 3, 5, 9)), (count,), generator=self._maker)
        if count and self._random.random() < 0.2:
            values[self._random.randrange(count)] = self._random.choice((*HUGE, 10, -10))
        if dtype is torch.bool and self._random.random() < 0.2:
            return values.to(torch.uint8).view(torch.bool)
        return values.to(dtype)


def outcome(case: Case, pattern: int) -> Any:
    """Return what a program of the case gives, as copies; raise what it raises."""
    executable = Executable(case.program())
    libc.mallopt(M_PERTURB, pattern)
    (out,) = executable.run({}, {}, case.tensors, Running(LIMITS, lambda: 0.0))
    return [tensor.clone() for tensor in tensors_of([out]) if tensor.numel() < 2**20]


def differences(case: Case) -> Iterator[str]:
    """Yield what is wrong with an answer; raise the job's error where there is none."""
    first, second = (outcome(case, pattern) for pattern in PATTERNS)
    if any(not _same(one, other) for one, other in zip(first, second, strict=True)):
        yield "part of the result is what the memory held before"
    try:
        expected = [tensor for tensor in tensors_of([case.eager()]) if tensor.numel() < 2**20]
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        yield f"PyTorch refuses copies of the operands: {error}"
        return
    if not all(_close(one, other) for one, other in zip(first, expected, strict=True)):
        yield "the result is not PyTorch's"


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(_bytes(one), _bytes(other))


def _bytes(tensor: Tensor) -> Tensor:
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype)
    return flat.copy_(tensor.reshape(-1)).view(torch.uint8)


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    usual = torch.isfinite(one) & torch.isfinite(other) & (one.abs() < 1e4) if one.is_floating_point() else None
    if usual is None:
        return one.dtype is torch.bool or one.is_complex() or bool((one == other).all())
    return torch.allclose(one[usual].double(), other[usual].double(), 0.05, 0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--progress", default=os.devnull)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    answered: Counter[str] = Counter()
    wrong = 0
    with open(options.progress, "wb", buffering=0) as progress:
        for number in range(options.first, options.first + options.count):
            os.pwrite(progress.fileno(), b"%12d" % number, 0)
            case = Maker(random.Random(number)).case()
            try:
                for difference in differences(case):
                    wrong += 1
                    sys.stdout.write(f"{number} {case}: {difference}\n")
                answered.update(node.operator for node in case.nodes)
            except FLStoreError as error:
                if options.verbose:
                    sys.stdout.write(f"{number} {error}\n")
    sys.stdout.write(f"{options.count} cases; {len(answered)} of {len(functions())} operators have answered\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
