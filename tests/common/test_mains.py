"""What `python -m services.shard` and `python -m services.predictor` put together from their environment."""

import gc
import importlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flstore_core import buffers
from flstore_core.errors import InvalidParameters
from flstore_core.ids import JobId
from services.common import logs, memory
from services.common.serve import Listen
from services.predictor import settings as predictor_settings
from services.predictor import standalone
from tests.predictor.processes import launcher
from tests.predictor.standalone.folders import fill

MAINS = ["shard", "predictor"]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Put back what a process sets for itself once."""
    recycler = buffers._recycler
    yield
    buffers._recycler = recycler
    gc.enable()


class Started:
    """Notes what a main function would have served."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, service: str, env: dict[str, str]) -> None:
        self.module: Any = importlib.import_module(f"services.{service}.__main__")
        self.apps: list[Any] = []
        self.listens: list[Listen] = []
        self.options: dict[str, Any] = {}
        self.logged: list[tuple[str, str]] = []
        for name in [name for name in os.environ if name.startswith("FLSTORE_")]:
            monkeypatch.delenv(name)
        for name, text in {"FLSTORE_SERVICE_KEYS": "none", **env}.items():
            monkeypatch.setenv(name, text)
        monkeypatch.setattr(self.module, "run", self._run)
        monkeypatch.setattr(logs, "configure", lambda *args: self.logged.append(args))
        monkeypatch.setattr(buffers, "keep_freed", lambda: None)
        monkeypatch.setattr(predictor_settings, "hide", lambda: None)

    def _run(self, app: Any, listen: Listen, **options: Any) -> None:
        self.apps.append(app)
        self.listens.append(listen)
        self.options = options


@pytest.mark.parametrize("service", MAINS)
def test_a_main_serves_its_app_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: str
) -> None:
    env = {
        "FLSTORE_STORE": str(tmp_path / "store"),
        "FLSTORE_SHARD_ID": "unit-7",
        "FLSTORE_CACHE_BYTES": "1MiB",
        "FLSTORE_PORT": "0",
        "FLSTORE_LOG_LEVEL": "WARNING",
    }
    started = Started(monkeypatch, service, env)
    started.module.main()
    (app,) = started.apps
    state = getattr(app.state, service)
    assert state.settings.cache_bytes == 2**20
    assert started.listens == [Listen(port=0)]
    assert started.logged == [("unit-7", "WARNING")]
    assert started.options["side_door"] is True
    assert started.options["should_leave"]() is False
    assert not (tmp_path / "store").exists(), "the store is opened when it is first used"


@pytest.mark.parametrize("service", MAINS)
def test_a_cache_beyond_the_memory_of_the_process_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: 2**20)
    started = Started(monkeypatch, service, {"FLSTORE_CACHE_BYTES": "1MiB"})
    with pytest.raises(InvalidParameters, match=r"FLSTORE_CACHE_BYTES is 1\.0 MiB, over 60 %"):
        started.module.main()
    assert not started.apps


def test_a_predictors_programs_get_pytorchs_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(monkeypatch, "predictor", {"FLSTORE_TORCH_THREADS": "1", "FLSTORE_CACHE_BYTES": "1MiB"})
    started.module.main()
    assert started.apps[0].state.predictor.processes.bounds.threads == 1


def test_a_predictors_memory_limit_is_the_processs(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, tuple[int, int]]] = []
    settings: Any = importlib.import_module("services.predictor.settings")
    monkeypatch.setattr(settings.resource, "setrlimit", lambda kind, both: limits.append((kind, both)))
    monkeypatch.setattr(settings, "hide", lambda: None)
    settings.Settings(memory_bytes=7 * 2**30).apply()
    assert limits == [(settings.resource.RLIMIT_DATA, (7 * 2**30, 7 * 2**30))]


def test_a_predictor_of_a_folder_serves_that_model_without_keys_in_its_share_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limits: list[tuple[str, tuple[int, int]]] = []
    env = {"FLSTORE_SERVICE_KEYS": "", "FLSTORE_MODEL_FOLDER": str(fill(tmp_path)), "FLSTORE_PORT": "0"}
    started = Started(monkeypatch, "predictor", env)
    monkeypatch.setattr(memory, "memory_limit", lambda: 2**30)
    noted = SimpleNamespace(RLIMIT_DATA="data", setrlimit=lambda kind, both: limits.append((kind, both)))
    monkeypatch.setattr(predictor_settings, "resource", noted)
    wired = partial(standalone.create_state, launcher=launcher())
    monkeypatch.setattr(
        started.module, "standalone", SimpleNamespace(create_state=wired, create_app=lambda state: state)
    )
    started.module.main()
    [state] = started.apps
    assert (state.versions.jobs(), started.listens, started.options) == (["small"], [Listen(port=0)], {})
    assert limits == [("data", (int(0.9 * 2**30), int(0.9 * 2**30)))]
    state.processes.forget(JobId("small"))
