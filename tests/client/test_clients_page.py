"""docs/clients.md: each row of its tables is tried with the client, against a gateway, and no row is without a test."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import pytest
import scipy.sparse
import torch
from click.testing import CliRunner
from flwr.common import Array as FlowerArray
from sklearn.linear_model import LogisticRegression

from flstore_core.cli.main import main
from flstore_core.client import AsyncFLStore
from flstore_core.client.naming import named
from flstore_core.errors import InvalidParameters, InvalidTensors
from flstore_core.flat import narrow_to_bfloat16
from flstore_core.ids import decode, encode
from services.gateway.app import create_app
from tests.client.lookalikes import CupyArray, DlpackArray, FrozenDict, JaxArray, MlxArray, ShapeDtypeStruct
from tests.gateway.world import world
from tests.serving import served
from tests.writers import WRITERS, candle

PAGE = Path(__file__).parents[2] / "docs/clients.md"

ONE = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
TWO = np.array([0.5, -1.0], np.float32)


FILE = {"c": ONE, "ab": TWO, "ba": -TWO}


class Store:
    """The client, and a gateway without sockets."""

    def __init__(self) -> None:
        self.app = create_app(world().state)
        self.client = AsyncFLStore("http://gateway")
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app))
        self._jobs = 0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Store"]:
        async with self._http:
            self.client._http[asyncio.get_running_loop()] = self._http
            yield self

    async def create(self, like: Any, **settings: Any) -> str:
        """Create another job for models like this one."""
        self._jobs += 1
        await self.client.create_job(f"j{self._jobs}", like=like, **settings)
        return f"j{self._jobs}"

    async def keep(self, model: Any, like: Any = None, **settings: Any) -> dict[str, Any]:
        """Send a model to a job of its own, and return what is kept."""
        job = await self.create(model if like is None else like, **settings)
        await self.client.put_update(job, 1, "c", model)
        return dict(await self.client.get_update(job, 1, "c"))

    async def dtypes(self, model: Any) -> list[str]:
        """Return the dtypes under which a model is kept."""
        job = await self.create(model)
        return [tensor["dtype"] for tensor in (await self.client.job(job)).schema]


Trial = Callable[[Store], Awaitable[None]]
TRIALS: dict[str, Trial] = {}
"""By the first cell of a row."""


def row(cell: str) -> Callable[[Trial], Trial]:
    """Have a trial stand for a row of the table of models."""

    def keep(trial: Trial) -> Trial:
        assert cell not in TRIALS
        TRIALS[cell] = trial
        return trial

    return keep


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading of the page, without its head."""
    below = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in below.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


MODELS = [cells[0] for cells in table("Models")]


def test_every_row_of_the_page_is_tried_and_every_trial_is_of_a_row() -> None:
    assert sorted(MODELS) == sorted(TRIALS)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor", "ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("cell", MODELS)
async def test_what_a_row_says(cell: str) -> None:
    async with Store().opened() as store:
        await TRIALS[cell](store)


@pytest.mark.parametrize(("given", "kept"), [cells for cells in table("Names") if "UUID" not in cells[0]])
def test_a_name_of_the_page_is_kept_as_it_says(given: str, kept: str) -> None:
    assert encode(given.strip("`")) == kept.strip("`")
    assert decode(kept.strip("`")) == given.strip("`")


def assert_same(kept: dict[str, Any], **expected: Any) -> None:
    assert list(kept) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(kept[name], array, strict=True)


async def assert_refused(store: Store, value: Any, advice: str) -> None:
    """Assert that a tensor is refused by its name, with what to send in its place."""
    job = await store.create({"w": ONE})
    with pytest.raises(InvalidParameters, match=f"tensor 'w': .*{advice}"):
        await store.client.put_update(job, 1, "c", {"w": value})
    assert not (await store.client.job(job)).open


@row("NumPy arrays by name")
async def arrays_by_name(store: Store) -> None:
    assert_same(await store.keep({"b": ONE, "a": TWO}), b=ONE, a=TWO)


@row("NumPy arrays that are not contiguous, big-endian, read-only or memory-mapped")
async def odd_arrays(store: Store) -> None:
    model = {"t": ONE.T, "step": np.arange(9.0)[::-2], "big": ONE.astype(">f4"), "fixed": TWO.copy()}
    model["fixed"].flags.writeable = False
    kept = await store.keep(model)
    assert_same(kept, t=ONE.T.copy(), step=np.array([8.0, 6, 4, 2, 0]), big=ONE, fixed=TWO)
    file = PAGE.with_name("clients.md")
    mapped = np.memmap(file, np.uint8, "r", shape=(64,))
    assert bytes((await store.keep({"m": mapped, "w": TWO}))["m"]) == file.read_bytes()[:64]


@row("scalars, arrays without elements, nested lists of numbers")
async def small_values(store: Store) -> None:
    model = {"n": np.float32(2.5), "none": np.zeros((0, 3)), "list": [[1.0, 2.0]], "int": 3}
    expected = {"n": np.array(2.5, np.float32), "none": np.zeros((0, 3)), "list": np.array([[1.0, 2.0]])}
    assert_same(await store.keep(model), **expected, int=np.array(3))


@row("whole numbers and flags")
async def whole_numbers(store: Store) -> None:
    names = ["bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
    model = {name: np.array([0, 1], name) for name in names}
    assert_same(await store.keep({**model, "w": TWO}), **model, w=TWO)
    of_torch = {name: torch.zeros(2, dtype=getattr(torch, name)) for name in names}
    codes = ["BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64", "F32"]
    assert await store.dtypes({**of_torch, "w": TWO}) == codes
    with pytest.raises(InvalidParameters, match="no floating-point parameters; at least one is needed"):
        await store.create(model)


@row("a torch module, a torch state dict")
async def torch_models(store: Store) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    expected = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    assert_same(await store.keep(module), **expected)
    assert_same(await store.keep(module.state_dict()), **expected)


@row("LoRA adapters, such as peft's state dicts")
async def adapters(store: Store) -> None:
    name = "base_model.model.q_proj.lora_{}.weight"
    model = {name.format("A"): torch.ones(2, 8), name.format("B"): torch.zeros(8, 2)}
    assert_same(await store.keep(model), **{key: value.numpy() for key, value in model.items()})


@row("Flower: `list[np.ndarray]` (NumPyClient)")
async def flower_lists(store: Store) -> None:
    assert_same(await store.keep([ONE, TWO], like={"w": ONE, "b": TWO}), w=ONE, b=TWO)


@row("Flower: `Array` values by name")
async def flower_arrays(store: Store) -> None:
    assert_same(await store.keep({"w": FlowerArray(ONE), "b": FlowerArray(TWO)}), w=ONE, b=TWO)


@row("flax and other nested trees")
async def trees(store: Store) -> None:
    tree = FrozenDict(params=FrozenDict(Dense_0={"kernel": JaxArray(ONE), "bias": JaxArray(TWO)}))
    expected = {"params/Dense_0/kernel": ONE, "params/Dense_0/bias": TWO}
    assert_same(await store.keep(tree), **expected)
    assert_same(await store.keep({tuple(name.split("/")): array for name, array in expected.items()}), **expected)


@row("lists of trees within a tree (MLX)")
async def lists_of_trees(store: Store) -> None:
    kept = await store.keep({"layers": [{"w": ONE}, {"w": TWO}]})
    assert_same(kept, **{"layers/0/w": ONE, "layers/1/w": TWO})


@row("arrays of jax, MLX and others, by `__array__`, buffer or `__dlpack__`")
async def foreign_arrays(store: Store) -> None:
    model = {"jax": JaxArray(ONE), "dlpack": DlpackArray(ONE), "buffer": TWO.data}
    assert_same(await store.keep(model), jax=ONE, dlpack=ONE, buffer=TWO)
    assert await store.dtypes({"w": ShapeDtypeStruct((2,), np.dtype("f2"))}) == ["F16"]
    await assert_refused(store, CupyArray({"shape": (2, 2)}), r"send a copy in main memory, such as `array\.get\(\)`")


@row("`bfloat16` of torch, MLX or ml_dtypes")
async def bfloat16(store: Store) -> None:
    model = {"torch": torch.tensor(ONE, dtype=torch.bfloat16), "mlx": MlxArray(narrow_to_bfloat16(TWO))}
    assert_same(await store.keep(model), torch=ONE, mlx=TWO)
    assert await store.dtypes(model) == ["BF16", "BF16"]


@row("conjugated or negated views, parameters that need gradients")
async def lazy_views(store: Store) -> None:
    model = {"neg": torch._neg_view(torch.tensor(ONE)), "grad": torch.nn.Parameter(torch.tensor(TWO))}
    model["imag"] = torch.complex(torch.zeros(2), torch.tensor(TWO)).conj().imag
    assert_same(await store.keep(model), neg=-ONE, grad=TWO, imag=-TWO)


@row("scikit-learn: `coef_`, `intercept_`")
async def scikit_learn(store: Store) -> None:
    model = LogisticRegression().fit(ONE, [0, 1])
    arrays = {"coef_": model.coef_, "intercept_": model.intercept_}
    assert_same(await store.keep(arrays), **arrays)
    assert_same(await store.keep([*arrays.values()], like=arrays), **arrays)


@row("XGBoost, LightGBM: the bytes of a booster")
async def boosters(store: Store) -> None:
    raw, length = bytearray(b'{"learner":{}}'), 14
    booster = np.zeros(64, np.uint8)
    booster[:length] = np.frombuffer(raw, np.uint8)
    kept = await store.keep({"booster": booster, "length": float(length)})
    assert bytes(kept["booster"][: int(kept["length"])]) == raw
    assert bytes((await store.keep({"booster": raw, "length": float(length)}))["booster"]) == raw
    await assert_refused(store, bytes(raw), r"send `numpy\.frombuffer\(data, numpy\.uint8\)`")


@row("differences from the round's base (NVFlare's `ParamsType.DIFF`)")
async def differences(store: Store) -> None:
    assert_same(await store.keep({"w": ONE}, updates="delta"), w=ONE)
    assert (await store.client.job("j1")).updates == "delta"


@row("a safetensors file")
async def files(store: Store) -> None:
    content = candle({"b": ONE, "a": TWO}, {"format": "pt"})
    job = await store.create({"a": TWO, "b": ONE})
    receipt = await store.client.put_update(job, 1, "c", content)
    assert (receipt.rewritten, receipt.sha256) == (False, receipt.received_sha256)
    assert await store.client.download_raw(job, 1, "c") == content


@row("a safetensors file by MLX, tinygrad or others")
async def foreign_files(store: Store) -> None:
    for writer in ("mlx", "tinygrad", "mapped"):
        job = await store.create(FILE)
        receipt = await store.client.put_update(job, 1, "c", WRITERS[writer](FILE, None))
        assert (receipt.rewritten, receipt.sha256 == receipt.received_sha256) == (True, False)
        assert_same(dict(await store.client.get_update(job, 1, "c")), **FILE)


@row("a file sent by `curl -T`")
async def curl(store: Store) -> None:
    job = await store.create(FILE)
    with TemporaryDirectory() as folder, served(store.app) as url:
        for writer in ("candle", "mlx"):
            file = Path(folder, "update.safetensors")
            file.write_bytes(WRITERS[writer](FILE, None))
            command = ["curl", "-sf", "-T", str(file), f"{url}/v1/jobs/{job}/rounds/1/clients/{writer}"]
            done = await asyncio.to_thread(subprocess.run, command, timeout=60, capture_output=True)
            assert (done.returncode, b'"created":true' in done.stdout) == (0, True)
            assert_same(dict(await store.client.get_update(job, 1, writer)), **FILE)


@row("an `.npz` file")
async def npz(store: Store) -> None:
    job = await store.create(FILE)
    with TemporaryDirectory() as folder, served(store.app) as url:
        np.savez(file := Path(folder, "c.npz"), allow_pickle=False, **FILE)
        put = await asyncio.to_thread(CliRunner().invoke, main, ["put", job, "1", str(file), "--url", url])
        assert put.exit_code == 0, put.output
    assert_same(dict(await store.client.get_update(job, 1, "c")), **FILE)


@row("sparse tensors and matrices (torch, SciPy)")
async def sparse(store: Store) -> None:
    dense = torch.eye(2)
    for tensor in (dense.to_sparse(), dense.to_sparse_csr(), dense.to_sparse_csc(), dense.to_mkldnn()):
        await assert_refused(store, tensor, r"send `tensor\.to_dense\(\)`")
    await assert_refused(store, scipy.sparse.eye_array(2, format="csr"), r"send `matrix\.toarray\(\)`")


@row("quantised tensors (torch)")
async def quantised(store: Store) -> None:
    tensor = torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8)
    await assert_refused(store, tensor, r"send `tensor\.dequantize\(\)`, or `tensor\.int_repr\(\)`")


@row("nested tensors (torch)")
async def nested(store: Store) -> None:
    ragged = torch.nested.nested_tensor([torch.ones(1), torch.ones(2)], layout=torch.jagged)
    await assert_refused(store, ragged, r"each of its parts .* \(`tensor\.unbind\(\)`\)")


@row("masked arrays")
async def masked(store: Store) -> None:
    await assert_refused(store, np.ma.masked_array(TWO, [True, False]), r"`array\.filled\(…\)`")
    assert_same(await store.keep({"w": np.ma.masked_array(TWO, False)}), w=TWO)


@row("tensors without values (torch's `meta`, `jax.ShapeDtypeStruct`)")
async def without_values(store: Store) -> None:
    await assert_refused(store, torch.eye(2, device="meta"), "no values: load the weights first")
    await assert_refused(store, ShapeDtypeStruct((2,), np.dtype("f4")), "send an array of one of BOOL")
    assert await store.dtypes({"w": torch.eye(2, device="meta")}) == ["F32"]


@row("float8 and smaller")
async def float8(store: Store) -> None:
    for dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
        await assert_refused(store, torch.eye(2).to(dtype), r"such as `tensor\.to\(torch\.bfloat16\)`")


@row("complex numbers")
async def complex_numbers(store: Store) -> None:
    for value in (np.eye(2, dtype=np.complex64), np.eye(2, dtype=complex), torch.eye(2, dtype=torch.complex64)):
        await assert_refused(store, value, "send its real and its imaginary part as two tensors")


@row("NumPy's `longdouble`")
async def longdouble(store: Store) -> None:
    await assert_refused(store, np.eye(2, dtype=np.longdouble), "send it as F64")


@row("structured dtypes, record arrays")
async def structured(store: Store) -> None:
    records = np.zeros(2, [("x", "<f4"), ("y", "<i4")])
    for value in (records, records.view(np.recarray)):
        await assert_refused(store, value, "send each of its fields as a tensor of its own: x, y")


@row("arrays of objects, lists of unequal length")
async def objects(store: Store) -> None:
    unequal = np.empty(2, object)
    unequal[:] = [ONE, TWO]
    for value in (unequal, [[1.0], [1.0, 2.0]]):
        await assert_refused(store, value, "send each of its elements as a tensor of its own")


@row("text, dates, `None`")
async def no_numbers(store: Store) -> None:
    for value in ("text", np.array(["a"]), np.zeros(2, "M8[s]"), None):
        await assert_refused(store, value, "send an array of one of BOOL, U8")


@row("NaN, infinities, numbers beyond float32's range")
async def not_finite(store: Store) -> None:
    for value in (np.nan, -np.inf, 1e300):
        with pytest.raises(InvalidTensors, match="tensor 'w' has a NaN, an infinity or a number beyond float32's"):
            await store.keep({"w": np.array([1.0, value])})


def test_a_list_of_models_arrays_has_no_names_of_its_own() -> None:
    assert list(named([ONE, TWO])) == ["0", "1"]
