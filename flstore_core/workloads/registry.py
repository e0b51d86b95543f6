"""Workloads by name, from the `flstore.workloads` entry points.

There is one way to add a workload, inside this repository and outside: a line under
`[project.entry-points."flstore.workloads"]` in the package's pyproject.toml, and the package installed anew. Everything
else (the gateway, the shards, the command line, the tests that walk all workloads) finds it here.

A workload's module is imported when it is first asked for, and no other workload's with it, so that a shard loads only
what it runs.
"""

import logging
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from flstore_core.errors import BrokenWorkload, InvalidParameters, unknown
from flstore_core.workloads.base import ModelWorkload, Needs, WeightsWorkload, Workload
from flstore_core.workloads.params import Params

GROUP = "flstore.workloads"
AnyWorkload = Workload[Any, Any]

_log = logging.getLogger(__name__)


def names() -> list[str]:
    """Return the registered names, sorted, without importing a workload."""
    return sorted(_entries())


@cache
def get(name: str) -> AnyWorkload:
    """Return the workload `name`, imported and made once.

    Raises:
        NotFound: with the nearest names, if no workload has this one.
        BrokenWorkload: if its package cannot be imported, or what it registers is not a workload.
    """
    entries = _entries()
    if name not in entries:
        raise unknown("workload", name, entries)
    return _make(entries[name])


def get_weights(name: str) -> WeightsWorkload[Any, Any]:
    """Return the workload `name`, which runs in shards; raise as `get` does, and `InvalidParameters` for any other."""
    workload = get(name)
    if workload.needs is not Needs.WEIGHTS:
        raise InvalidParameters(f"workload {name!r} needs {workload.needs}, not weights: it has nothing to map")
    return cast("WeightsWorkload[Any, Any]", workload)


def get_model(name: str) -> ModelWorkload[Any, Any]:
    """Return the workload `name`, which runs models; raise as `get` does, and `InvalidParameters` for any other."""
    workload = get(name)
    if workload.needs is not Needs.MODEL:
        raise InvalidParameters(f"workload {name!r} needs {workload.needs}, not a model: it has nothing to run")
    return cast("ModelWorkload[Any, Any]", workload)


def load() -> Mapping[str, AnyWorkload]:
    """Return every workload that loads, by name; log a warning for each that does not."""
    loaded, failed = _load_all()
    for name, reason in failed.items():
        _log.warning("workload %r is left out: %s", name, reason)
    return loaded


def broken() -> Mapping[str, str]:
    """Return the reasons why workloads do not load, by the names of those that `load()` leaves out."""
    return _load_all()[1]


def forget() -> None:
    """Forget all entry points and workloads, so that the next call finds packages installed since."""
    get.cache_clear()
    _entries.cache_clear()


def params_from_json(workload: AnyWorkload, data: Mapping[str, Any]) -> Any:
    """Return parameters from JSON values that the gateway has validated; imports no pydantic.

    Raises:
        InvalidParameters: if the fields are not those of this workload.
    """
    try:
        return workload.params(**data)
    except TypeError as error:
        raise InvalidParameters(f"parameters of {workload.name!r}: {error}") from error


def _load_all() -> tuple[dict[str, AnyWorkload], dict[str, str]]:
    """Return the workloads that load, and the reasons of those that do not, by name."""
    loaded: dict[str, AnyWorkload] = {}
    failed: dict[str, str] = {}
    for name in names():
        try:
            loaded[name] = get(name)
        except BrokenWorkload as error:
            failed[name] = error.detail
    return loaded, failed


@cache
def _entries() -> Mapping[str, EntryPoint]:
    """Return the entry points by name. Of two with the same name, the built-in one counts, or the first by value."""
    entries: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=_precedence):
        if (first := entries.setdefault(entry.name, entry)) is not entry:
            _log.warning("workload %r of %s is ignored: %s has that name", entry.name, entry.value, first.value)
    return entries


def _precedence(entry: EntryPoint) -> tuple[bool, str]:
    """Return a key that sorts built-in workloads first, and others by the text of their entry points."""
    return not entry.module.startswith("flstore_core."), entry.value


def _make(entry: EntryPoint) -> AnyWorkload:
    """Return the workload of an entry point; raise `BrokenWorkload` with the reason if there is none to return."""
    try:
        workload = entry.load()()
    except Exception as error:  # a user's code may raise anything; it must not take the other workloads down
        reason = f"{type(error).__name__}: {error}"
        raise BrokenWorkload(f"workload {entry.name!r} ({entry.value}) cannot be loaded: {reason}") from error
    if wrong := _mistake(entry.name, workload):
        raise BrokenWorkload(f"workload {entry.name!r} ({entry.value}) is not a workload: {wrong}")
    return workload  # type: ignore[no-any-return]


_ATTRIBUTES = ("name", "pattern", "needs", "source", "params", "result", "select", "combine")
_MORE_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    Needs.WEIGHTS: ("reads_base", "members", "map"),
    Needs.MODEL: ("models", "datasets", "run"),
}


def _mistake(name: str, workload: Any) -> str | None:
    """Return why an object is not the workload `name`; None if it is."""
    needs = str(getattr(workload, "needs", None))
    required = [*_ATTRIBUTES, *_MORE_ATTRIBUTES.get(needs, ())]
    missing = [attribute for attribute in required if not hasattr(workload, attribute)]
    if missing:
        return f"it lacks {', '.join(missing)}"
    if workload.name != name:
        return f"it calls itself {workload.name!r}; name and entry point must agree"
    if not (isinstance(workload.params, type) and issubclass(workload.params, Params)):
        return "params must be a dataclass derived from flstore_core.workloads.Params"
    return None if is_dataclass(workload.result) else "result must be a dataclass"
