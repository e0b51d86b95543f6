"""What a trace's requests mean to an FLStore: its workload names onto the target's, its keys onto their parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flstore_core.errors import InvalidParameters
from flstore_core.patterns import Pattern
from loadgen.run.events import Request

DOWNLOAD = "download"
"""No workload: the models themselves are fetched, as a server of predictions does."""

_BY_NAME: Mapping[str, tuple[str, ...]] = {
    "filtering": ("malicious-filter",),
    "audit": ("cosine-similarity",),
    "scheduling": ("schedule-performance",),
    "dashboard": ("metrics",),
}
"""Where the target has no workload of the request's own name."""
_BY_PATTERN: Mapping[Pattern, tuple[str, ...]] = {
    Pattern.P1: ("inspect", DOWNLOAD),
    Pattern.P2: ("cosine-similarity",),
    Pattern.P3: ("reputation",),
    Pattern.P4: ("metrics",),
}
"""Where it has nothing like it at all."""
_LEAST_ROUNDS: Mapping[str, int] = {"hyperparameters": 4}
"""Workloads that refuse an answer from fewer."""
_ALWAYS: Mapping[str, Mapping[str, Any]] = {"malicious-filter": {"history": 1, "hindsight": 0}}
"""What a trace does not say and both sides are asked: here one round, where by default a target reads many."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the target."""

    workload: str
    params: tuple[Mapping[str, Any], ...]
    """One for each call; a request for two models is two calls, side by side."""


class Catalogue:
    """The workloads that a target has.

    Args:
        described: what `GET /v1/workloads` lists.
    """

    def __init__(self, described: Sequence[Mapping[str, Any]]) -> None:
        self._parameters = {entry["name"]: entry["parameters"] for entry in described}

    def question(self, ask: Request) -> Question:
        """Return what a trace's request means here; raise `InvalidParameters` if the target has nothing like it."""
        own = (ask.workload,) if ask.workload in self._parameters else ()
        for name in (*_BY_NAME.get(ask.workload, own), *_BY_PATTERN[ask.pattern]):
            if name == DOWNLOAD:
                return Question(DOWNLOAD, tuple({"round": number, "client": client} for number, client in ask.keys))
            if (params := self._params(name, ask)) is not None:
                return Question(name, params)
        raise InvalidParameters(f"the target has no workload for {ask.workload!r} ({ask.pattern})")

    def _params(self, name: str, ask: Request) -> tuple[Mapping[str, Any], ...] | None:
        """Return the calls' parameters; None if the workload is not there or wants more than a trace says."""
        schema = self._parameters.get(name)
        if schema is None or len(ask.keys) < _LEAST_ROUNDS.get(name, 1):
            return None
        known, needed = schema.get("properties", {}), set(schema.get("required", ()))
        groups = [(key,) for key in ask.keys] if ask.pattern is Pattern.P1 else [ask.keys]
        always = {key: value for key, value in _ALWAYS.get(name, {}).items() if key in known}
        calls = tuple({**_about(group, ask.pattern, known), **always} for group in groups)
        return calls if all(needed <= call.keys() for call in calls) else None


def _about(keys: Sequence[tuple[int, str]], pattern: Pattern, known: Mapping[str, Any]) -> Mapping[str, Any]:
    rounds = [number for number, _ in keys]
    if "models" in known:  # reads exactly what it is told
        models = [{"round": number, "client": client} for number, client in keys]
        return {"models": models, "pattern": pattern.value}
    if pattern is Pattern.P4:
        said: dict[str, Any] = {"first": min(rounds), "last": max(rounds)}
    elif pattern is Pattern.P3:
        said = {"client": keys[-1][1], "round": max(rounds), "last": len(rounds)}
    else:
        said = {"round": max(rounds), "client": keys[-1][1]} if pattern is Pattern.P1 else {"round": max(rounds)}
    return {name: value for name, value in said.items() if name in known}
