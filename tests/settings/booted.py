"""What a service's own `main` puts together from an environment, up to where it would serve."""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from flstore_core import buffers
from services.common import logs, memory
from services.common.serve import Listen
from tests.settings.row import Env

SERVICES = ("gateway", "placement", "predictor", "shard")


@dataclass
class Booted:
    """What one service would have served, and what it set for its process."""

    apps: list[Any] = field(default_factory=list)
    listens: list[Listen] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    logged: list[tuple[str, str]] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    """Bytes of unused memory that may be kept."""
    prepared: dict[str, Any] = field(default_factory=dict)
    """Of the controller: its settings and store, and which runtime it is made for."""
    process: dict[str, Any] = field(default_factory=dict)
    """Of a predictor: the limit of its memory."""

    def state(self, service: str) -> Any:
        return getattr(self.apps[0].state, service)

    def run(self, app: Any, listen: Listen, **options: Any) -> None:
        self.apps.append(app)
        self.listens.append(listen)
        self.options.append(options)

    def prepare(self, runtime: str) -> Callable[..., Any]:
        def prepare(settings: Any, keys: Any, store: Any, env: Env) -> Callable[[], Any]:
            self.prepared = {"settings": settings, "runtime": runtime, "store": store}
            return lambda: None

        return prepare


@contextmanager
def booted(service: str, env: Env) -> Iterator[Booted]:
    """Run a service's `main` in an environment, without serving and without changing this process."""
    main: Any = importlib.import_module(f"services.{service}.__main__")
    seen = Booted()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("FLSTORE_")]:
            patch.delenv(name)
        for name, text in {"FLSTORE_SERVICE_KEYS": "none", **env}.items():
            patch.setenv(name, text)
        patch.setattr(main, "run", seen.run)
        patch.setattr(logs, "configure", lambda *args: seen.logged.append(args))
        patch.setattr(memory, "memory_limit", lambda: None)  # the machine's own says nothing of a setting
        patch.setattr(buffers, "keep", seen.kept.append)
        patch.setattr(buffers, "keep_freed", lambda: None)
        if service == "placement":
            patch.setattr(main, "prepare_local", seen.prepare("local"))
            patch.setattr(main, "prepare_cluster", seen.prepare("knative"))
        if service == "predictor":
            _keep_process(patch, seen)
        main.main()
        yield seen


def _keep_process(patch: pytest.MonkeyPatch, seen: Booted) -> None:
    """Note what a predictor sets for its whole process, in place of setting it."""
    settings: Any = importlib.import_module("services.predictor.settings")
    patch.setattr(settings, "hide", lambda: None)
    patch.setattr(settings.resource, "setrlimit", lambda kind, both: seen.process.update({"memory": both[0]}))


def gateway(look: Callable[[Any], object]) -> Callable[[Env], object]:
    """Return an observer of a gateway's state."""

    def observe(env: Env) -> object:
        with booted("gateway", env) as seen:
            state = seen.state("gateway")
            try:
                return look(state)
            finally:
                state.close()

    return observe


def backend(service: str, look: Callable[[Any], object]) -> Callable[[Env], object]:
    """Return an observer of the state of a shard or predictor."""

    def observe(env: Env) -> object:
        with booted(service, env) as seen:
            return look(seen.state(service))

    return observe


def backends(look: Callable[[Any], object]) -> Callable[[Env], object]:
    """Return an observer of the states of both kinds of backend."""
    return lambda env: [backend(service, look)(env) for service in ("predictor", "shard")]


def process(name: str) -> Callable[[Env], object]:
    """Return an observer of what a predictor sets for its process."""

    def observe(env: Env) -> object:
        with booted("predictor", env) as seen:
            return seen.process.get(name)

    return observe


def controller(look: Callable[[Any], object]) -> Callable[[Env], object]:
    """Return an observer of what a controller's state would be made of."""

    def observe(env: Env) -> object:
        with booted("placement", env) as seen:
            return look(seen)

    return observe


def everywhere(look: Callable[[Booted], object]) -> Callable[[Env], object]:
    """Return an observer of what all services make of a setting; a list, in the order of their names."""

    def observe(env: Env) -> object:
        return [_looked_at(service, env, look) for service in SERVICES]

    return observe


def _looked_at(service: str, env: Env, look: Callable[[Booted], object]) -> object:
    with booted(service, env) as seen:
        if service == "gateway":
            seen.state("gateway").close()
        return look(seen)
