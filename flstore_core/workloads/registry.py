"""Workloads by name, from the `flstore.workloads` entry points: the built-in ones and those of users' own packages.

A workload's module is imported when it is first asked for, and no other with it: a shard starts on the one it runs.
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
        NotFound: naming the nearest ones, if there is none by that name.
        BrokenWorkload: if its package cannot be imported, or what it registers is no workload.
    """
    entries = _entries()
    if name not in entries:
        raise unknown("workload", name, entries)
    return _make(entries[name])


def get_weights(name: str) -> WeightsWorkload[Any, Any]:
    """Return the workload `name` if it runs in shards.

    Raises:
        InvalidParameters: if it does not read weights; and what `get` raises.
    """
    workload = get(name)
    if workload.needs is not Needs.WEIGHTS:
        raise InvalidParameters(f"workload {name!r} needs {workload.needs}, not weights: it has nothing to map")
    return cast("WeightsWorkload[Any, Any]", workload)


def get_model(name: str) -> ModelWorkload[Any, Any]:
    """Return the workload `name` if it runs models; errors as `get_weights`."""
    workload = get(name)
    if workload.needs is not Needs.MODEL:
        raise InvalidParameters(f"workload {name!r} needs {workload.needs}, not a model: it has nothing to run")
    return cast("ModelWorkload[Any, Any]", workload)


def load() -> Mapping[str, AnyWorkload]:
    """Return every workload that can be loaded, by name; the others are logged and named by `broken`."""
    loaded, failed = _load_all()
    for name, reason in failed.items():
        _log.warning("workload %r is left out: %s", name, reason)
    return loaded


def broken() -> Mapping[str, str]:
    """Return why each registered workload that is missing from `load()` could not be loaded, by name."""
    return _load_all()[1]


def forget() -> None:
    """Forget what is registered and loaded, so that packages installed meanwhile are found."""
    get.cache_clear()
    _entries.cache_clear()


def params_from_json(workload: AnyWorkload, data: Mapping[str, Any]) -> Any:
    """Return parameters that the gateway has validated, made from their JSON form; needs no pydantic.

    Raises:
        InvalidParameters: if the fields are not those of this workload.
    """
    try:
        return workload.params(**data)
    except TypeError as error:
        raise InvalidParameters(f"parameters of {workload.name!r}: {error}") from error


def _load_all() -> tuple[dict[str, AnyWorkload], dict[str, str]]:
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
    """Return the entry points by name; where two packages claim one name, the built-in or the first one has it."""
    entries: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=_precedence):
        if (known := entries.setdefault(entry.name, entry)) is not entry:
            _log.warning("workload %r of %s is ignored: %s has that name", entry.name, entry.value, known.value)
    return entries


def _precedence(entry: EntryPoint) -> tuple[bool, str]:
    return not entry.module.startswith("flstore_core."), entry.value


def _make(entry: EntryPoint) -> AnyWorkload:
    try:
        workload = entry.load()()
    except Exception as error:  # another's code: whatever it raises must not take the other workloads down
        reason = f"{type(error).__name__}: {error}"
        raise BrokenWorkload(f"workload {entry.name!r} ({entry.value}) cannot be loaded: {reason}") from error
    if wrong := _what_is_wrong(entry.name, workload):
        raise BrokenWorkload(f"workload {entry.name!r} ({entry.value}) is none: {wrong}")
    return workload  # type: ignore[no-any-return]


_MORE_METHODS: Mapping[str, tuple[str, ...]] = {
    Needs.WEIGHTS: ("reads_base", "members", "map"),
    Needs.MODEL: ("models", "datasets", "run"),
}


def _what_is_wrong(name: str, workload: Any) -> str | None:
    needs = getattr(workload, "needs", None)
    methods = ["select", "combine", *_MORE_METHODS.get(str(needs), ())]
    missing = [
        a for a in ("name", "pattern", "needs", "source", "params", "result", *methods) if not hasattr(workload, a)
    ]
    if missing:
        return f"it lacks {', '.join(missing)}"
    if workload.name != name:
        return f"it calls itself {workload.name!r}; name and entry point must agree"
    if not (isinstance(workload.params, type) and issubclass(workload.params, Params)):
        return "params must be a dataclass below flstore_core.workloads.Params"
    return None if is_dataclass(workload.result) else "result must be a dataclass"
