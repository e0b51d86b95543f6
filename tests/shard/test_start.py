"""A shard starts within a second because it imports little, and is configured by its environment alone."""

import subprocess
import sys

import pytest

from flstore_core.errors import InvalidId, InvalidParameters
from flstore_core.ids import ShardId
from services.shard.settings import Settings

HEAVY = (
    *("pydantic", "fastapi", "minio", "torch", "kserve", "httpx", "kubernetes", "scipy", "sklearn", "safetensors"),
    *("click", "uvicorn.main", "uvicorn.supervisors"),
)


@pytest.mark.parametrize("module", ["services.shard.__main__", "services.shard.app"])
def test_starting_a_shard_imports_numpy_and_nothing_heavier(module: str) -> None:
    heavy = f"[name for name in {HEAVY!r} if name in sys.modules]"
    program = f"import sys, {module}; print(*{heavy}); assert 'numpy' in sys.modules"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


@pytest.mark.parametrize(
    "module",
    ["flstore_core.shard.protocol", "flstore_core.models.protocol", "flstore_core.retry", "flstore_core.storage"],
)
def test_what_every_side_imports_is_light(module: str) -> None:
    program = f"import sys, {module}; print(*[name for name in {(*HEAVY, 'numpy')!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings() == Settings(ShardId("shard-0"), ".flstore/store", 512 * 2**20, "tailored", 0.0, 2)


def test_every_variable_sets_its_setting() -> None:
    env = {
        "FLSTORE_SHARD_ID": "shard-3",
        "FLSTORE_STORE": "s3://bucket",
        "FLSTORE_CACHE_BYTES": "2GiB",
        "FLSTORE_POLICY": "lru",
        "FLSTORE_IDLE_SECONDS": "1.5",
        "FLSTORE_COMPUTE_THREADS": "7",
    }
    assert Settings.from_env(env) == Settings(ShardId("shard-3"), "s3://bucket", 2**31, "lru", 1.5, 7)


def test_on_knative_the_service_names_the_shard_unless_told_otherwise() -> None:
    assert Settings.from_env({"K_SERVICE": "flstore-shard-1"}).shard == "flstore-shard-1"
    assert Settings.from_env({"K_SERVICE": "a", "FLSTORE_SHARD_ID": "b"}).shard == "b"


@pytest.mark.parametrize(
    ("variable", "text", "error"),
    [
        ("FLSTORE_CACHE_BYTES", "lots", InvalidParameters),
        ("FLSTORE_IDLE_SECONDS", "soon", InvalidParameters),
        ("FLSTORE_COMPUTE_THREADS", "2.5", InvalidParameters),
        ("FLSTORE_SHARD_ID", "../etc", (InvalidId, InvalidParameters)),
    ],
)
def test_what_does_not_fit_is_refused(variable: str, text: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=text.replace(".", r"\.")):
        Settings.from_env({variable: text})
