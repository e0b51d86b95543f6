"""Translates a trace's requests into calls of a target: names to its workloads, keys to their parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flstore_core.errors import InvalidParameters
from flstore_core.patterns import Pattern
from loadgen.run.events import Request

DOWNLOAD = "download"
"""Not a workload: the models themselves are fetched, as a prediction server would."""

_BY_NAME: Mapping[str, tuple[str, ...]] = {
    "filtering": ("malicious-filter",),
    "audit": ("cosine-similarity",),
    "scheduling": ("schedule-performance",),
    "dashboard": ("metrics",),
}
"""Workloads for request names that are no workload's name."""
_BY_PATTERN: Mapping[Pattern, tuple[str, ...]] = {
    Pattern.P1: ("inspect", DOWNLOAD),
    Pattern.P2: ("cosine-similarity",),
    Pattern.P3: ("reputation",),
    Pattern.P4: ("metrics",),
}
"""Workloads to fall back on, by pattern."""
_LEAST_ROUNDS: Mapping[str, int] = {"hyperparameters": 4}
"""Fewest rounds of workloads that need several."""
_ALWAYS: Mapping[str, Mapping[str, Any]] = {"malicious-filter": {"history": 1, "hindsight": 0}}
"""Parameters that a trace does not give. The filter reads one round, as the trace's keys say, and not many."""


@dataclass(frozen=True, slots=True)
class Question:
    """Calls of the target that answer one request of a trace."""

    workload: str
    params: tuple[Mapping[str, Any], ...]
    """Parameters of each call; a request for two models becomes two concurrent calls."""


class Catalogue:
    """The workloads that a target has.

    Args:
        described: what `GET /v1/workloads` lists.
    """

    def __init__(self, described: Sequence[Mapping[str, Any]]) -> None:
        self._parameters = {entry["name"]: entry["parameters"] for entry in described}

    def question(self, request: Request) -> Question:
        """Return the calls for a trace's request; raise `InvalidParameters` if the target has no workload for it."""
        own = (request.workload,) if request.workload in self._parameters else ()
        for name in (*_BY_NAME.get(request.workload, own), *_BY_PATTERN[request.pattern]):
            if name == DOWNLOAD:
                return Question(DOWNLOAD, tuple({"round": number, "client": client} for number, client in request.keys))
            if (params := self._params(name, request)) is not None:
                return Question(name, params)
        raise InvalidParameters(f"the target has no workload for {request.workload!r} ({request.pattern})")

    def _params(self, name: str, request: Request) -> tuple[Mapping[str, Any], ...] | None:
        """Return the calls' parameters; None if the workload does not exist or needs more than a trace gives."""
        schema = self._parameters.get(name)
        if schema is None or len(request.keys) < _LEAST_ROUNDS.get(name, 1):
            return None
        properties, needed = schema.get("properties", {}), set(schema.get("required", ()))
        groups = [(key,) for key in request.keys] if request.pattern is Pattern.P1 else [request.keys]
        always = {key: value for key, value in _ALWAYS.get(name, {}).items() if key in properties}
        calls = tuple({**_about(group, request.pattern, properties), **always} for group in groups)
        return calls if all(needed <= call.keys() for call in calls) else None


def _about(keys: Sequence[tuple[int, str]], pattern: Pattern, properties: Mapping[str, Any]) -> Mapping[str, Any]:
    rounds = [number for number, _ in keys]
    if "models" in properties:  # reads exactly what it is told
        models = [{"round": number, "client": client} for number, client in keys]
        return {"models": models, "pattern": pattern.value}
    if pattern is Pattern.P4:
        params: dict[str, Any] = {"first": min(rounds), "last": max(rounds)}
    elif pattern is Pattern.P3:
        params = {"client": keys[-1][1], "round": max(rounds), "last": len(rounds)}
    else:
        params = {"round": max(rounds), "client": keys[-1][1]} if pattern is Pattern.P1 else {"round": max(rounds)}
    return {name: value for name, value in params.items() if name in properties}
