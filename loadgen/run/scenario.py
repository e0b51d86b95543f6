"""Scenarios: YAML files, named after themselves, that describe a trace and how it is replayed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from flstore_core.errors import InvalidParameters, unknown
from loadgen.run.events import Commit, Event, Request, Update, parse_event
from loadgen.traces.generator import TraceSettings, generate

FOLDER = Path(__file__).parent.parent / "scenarios"


@dataclass(frozen=True)
class Scenario:
    """A trace's settings and how it is replayed."""

    name: str
    """Name of its file, without the ending."""
    about: str = ""
    """What it is for, in a sentence."""
    trace: TraceSettings = field(default_factory=TraceSettings)
    jobs: int = 1
    """Number of jobs, each with a trace of its own."""
    speed: float = 1.0
    warm_up_s: float = 0.0
    idle_seconds: float = 60.0
    """Idle window of the shards, if the scenario starts them."""

    def events(self, seed: int | None = None) -> Iterator[Event]:
        """Yield the events of all jobs, ordered by time."""
        first = self.trace.seed if seed is None else seed
        made = []
        for index in range(self.jobs):
            name = self.trace.job if self.jobs == 1 else f"{self.trace.job}-{index:03d}"
            made += generate(replace(self.trace, seed=first + index, job=name))
        yield from map(parse_event, sorted(made, key=lambda event: event["t"]))


def scenario_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_scenario(name: str) -> Scenario:
    """Return the scenario called `name`, or that of a YAML file."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.exists():
        raise unknown("scenario", name, scenario_names())
    return parse_scenario(path.stem, path.read_text(encoding="utf-8"))


def parse_scenario(name: str, text: str) -> Scenario:
    """Return a scenario from YAML; raise `InvalidParameters` naming what does not fit."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidParameters(f"scenario {name!r} is no YAML: {error!s:.200}") from error
    if not isinstance(data, dict):
        raise InvalidParameters(f"scenario {name!r} is no mapping; see those in loadgen/scenarios")
    if "name" in data:
        raise InvalidParameters(f"scenario {name!r}: 'name' is that of the file; leave it out")
    settings = checked_fields(data.pop("trace", {}), TraceSettings, f"scenario {name!r}, trace")
    return Scenario(name, trace=TraceSettings(**settings), **checked_fields(data, Scenario, f"scenario {name!r}"))


def cut(events: Iterator[Event], seconds: float) -> Iterator[Event]:
    """Yield the events of the trace's first `seconds`."""
    for event in events:
        if event.t > seconds:
            return
        yield event


def resized(events: Iterator[Event], nbytes: int) -> Iterator[Event]:
    """Yield the same events with models of `nbytes`."""
    for event in events:
        if isinstance(event, Update | Commit):
            yield replace(event, nbytes=nbytes)
        else:
            assert isinstance(event, Request)
            yield event


_KINDS: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}


def checked_fields(data: Any, kind: type[Any], where: str) -> dict[str, Any]:
    """Return `data` if it maps fields of the dataclass `kind` to values; raise `InvalidParameters` otherwise."""
    if not isinstance(data, Mapping):
        raise InvalidParameters(f"{where} is {data!r:.80}; use a mapping")
    names = {each.name: each for each in fields(kind)}
    for name, value in data.items():
        if name not in names:
            raise InvalidParameters(f"{where}: {name!r} is unknown; there are {', '.join(names)}")
        expected = _KINDS.get(_type_name(names[name].type))
        if expected and (not isinstance(value, expected) or isinstance(value, bool)):
            raise InvalidParameters(f"{where}: {name} is {value!r}; use {_type_name(names[name].type)}")
    return dict(data)


def _type_name(kind: Any) -> str:
    return kind if isinstance(kind, str) else str(getattr(kind, "__name__", kind))
