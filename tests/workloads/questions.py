"""Every workload over records, statistics or weights, with parameters worth asking for; and how answers compare."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

import pytest

from flstore_core.workloads import Needs, registry

MORE: Mapping[str, list[dict[str, Any]]] = {
    "clustering": [{"metric": "euclidean"}],
    "reputation": [{"client": "c0", "evidence": "filter"}],
}
"""Parameters worth asking for beside the methods, each of which is asked for anyway."""
NEEDED: Mapping[str, dict[str, Any]] = {"fltrust": {"root": "c1"}}
"""Parameters that a method cannot do without."""
EXACT = frozenset({"amount"})
"""Whole units: the last one may go to another client when contributions differ in the sixth place."""


def methods_of(workload: registry.AnyWorkload) -> list[dict[str, Any]]:
    """Return parameters for each method that a workload has besides the default one."""
    field = workload.params.__dataclass_fields__.get("method")
    if field is None:
        return []
    names = get_args(get_type_hints(workload.params)["method"])
    return [{"method": name, **NEEDED.get(name, {})} for name in names if name != field.default]


def questions() -> list[tuple[str, dict[str, Any]]]:
    """Return every workload over statistics, with its least parameters, each of its methods, and `MORE`."""
    asked = []
    for name, workload in sorted(registry.load().items()):
        if workload.needs is Needs.STATISTICS:
            least = {"client": "c0"} if "client" in workload.params.__dataclass_fields__ else {}
            asked += [(name, params) for params in [least, *methods_of(workload), *MORE.get(name, [])]]
    return asked


LEAST: Mapping[str, dict[str, Any]] = {
    "norms": {"models": [{"round": 1, "client": "c0"}, {"round": 2}]},
    "unlearn": {"client": "c0"},
}
"""Parameters without which a workload over weights cannot be asked."""
MORE_OF_WEIGHTS: Mapping[str, list[dict[str, Any]]] = {
    "aggregate": [{"clients": ["c1", "c4"]}],
    "inspect": [{"client": "c3"}],
    "personalize": [{"clusters": 2, "global_share": 0.3}],
    "provenance": [{"verify": True}],
    "unlearn": [{"client": "c2", "every": True}],
}
NEEDED_OF_WEIGHTS: Mapping[str, dict[str, Any]] = {
    "bulyan": {"byzantine": 1},
    "calibrate": {"calibrations": [[0, 1], [1, 2]]},
    "clipped-mean": {"clip": 1.0, "noise": 0.5},
}


def questions_of_weights() -> list[tuple[str, dict[str, Any]]]:
    """Return every workload over weights, with its least parameters, each of its methods, and `MORE_OF_WEIGHTS`."""
    asked = []
    for name, workload in sorted(registry.load().items()):
        if workload.needs is Needs.WEIGHTS:
            least = LEAST.get(name, {})
            methods = [{**params, **NEEDED_OF_WEIGHTS.get(params["method"], {})} for params in methods_of(workload)]
            asked += [(name, {**least, **params}) for params in [{}, *methods, *MORE_OF_WEIGHTS.get(name, [])]]
    return asked


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{place}.{key}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from leaves(part, f"{place}[{index}]")
    else:
        yield place, value


def assert_agree(found: Any, expected: Any, tolerance: float) -> None:
    """Compare answers: numbers to `tolerance`, relative above 1; words that quote numbers apart, the rest alike."""
    ours, theirs = dict(leaves(found)), dict(leaves(expected))
    assert ours.keys() == theirs.keys()
    for place, value in ours.items():
        if place.rpartition(".")[2] in EXACT:
            assert abs(value - theirs[place]) <= max(1, tolerance * abs(value)), place
        elif isinstance(value, float):
            assert value == pytest.approx(theirs[place], rel=tolerance, abs=tolerance), place
        elif ".reasons[" not in place:
            assert value == theirs[place], place
