"""What answers of many workloads have to say besides, in the same fields: missing weights or bases, and the like."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flstore_core.presentation.base import Answer
from flstore_core.presentation.words import listed


def remarks_of(answer: Answer) -> tuple[list[str], Answer]:
    """Return an answer's remarks as sentences, and the answer without their fields."""
    found = {name: answer[name] for name in _SAID if _are_names(answer.get(name))}
    said = [_SAID[name](names) for name, names in found.items() if names]
    return said, {name: each for name, each in answer.items() if name not in found}


def _are_names(value: Any) -> bool:
    """Return whether a field is what the remark is made of; a package's answer may have another of its name."""
    return isinstance(value, list) and all(isinstance(each, str | int) for each in value)


def _unweighted(names: Sequence[str]) -> str:
    return f"Counted equally, for want of a weight: {listed(names)}"


def _left_out(names: Sequence[str]) -> str:
    return f"Tensors left out, as they hold no floating-point numbers: {listed(names)}"


def _without_base(rounds: Sequence[Any]) -> str:
    return (
        f"Deltas were taken against zero, as no base is known of round {listed(rounds)}; store the model that it "
        "started from as the aggregate of an earlier round"
    )


def _seen_as_differences(rounds: Sequence[Any]) -> str:
    return (
        f"Updates count as differences from the base in round {listed(rounds)}, as the aggregates show; say "
        "updates='delta' when a job is created"
    )


_SAID: Mapping[str, Callable[[Sequence[str]], str]] = {
    "unweighted": _unweighted,
    "tensors_left_out": _left_out,
    "rounds_without_base": _without_base,
    "rounds_seen_as_differences": _seen_as_differences,
}
