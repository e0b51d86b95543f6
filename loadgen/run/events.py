"""A trace's events, read one at a time, so that a long trace takes little memory.

The format is that of `flstore_core.simulator.trace`, whose reader also checks that requested keys exist.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from flstore_core.errors import InvalidParameters
from flstore_core.patterns import Pattern
from flstore_core.simulator import TraceError


@dataclass(frozen=True, slots=True)
class Update:
    """A client's update arrives."""

    t: float
    """Seconds from the trace's beginning."""
    job: str
    round: int
    client: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A round's aggregate is stored and the round is committed."""

    t: float
    job: str
    round: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Request:
    """A user requests a workload."""

    t: float
    job: str
    workload: str
    pattern: Pattern
    keys: tuple[tuple[int, str], ...]
    """Round and member."""


Event: TypeAlias = Update | Commit | Request


def read_events(path: Path) -> Iterator[Event]:
    """Yield a file's events; raise `TraceError` at the first bad line."""
    try:
        with path.open(encoding="utf-8") as lines:
            yield from parse_lines(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"trace {str(path)!r} cannot be read: {error}") from error


def parse_lines(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events of lines of JSON, ordered by time."""
    now = float("-inf")
    for number, line in enumerate(lines, start=1):
        try:
            event = parse_event(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, InvalidParameters) as error:
            raise TraceError(f"line {number} is no event of a trace: {error!s:.200}", line=number) from error
        if event.t < now:
            raise TraceError(f"line {number}: t is {event.t}, before the {now} of an earlier line", line=number)
        now = event.t
        yield event


def parse_event(data: Mapping[str, Any]) -> Event:
    """Return one event from its JSON object."""
    kind, t = data["event"], float(data["t"])
    if kind == "update":
        return Update(t, str(data["job"]), int(data["round"]), str(data["client"]), int(data["bytes"]))
    if kind == "commit":
        return Commit(t, str(data["job"]), int(data["round"]), int(data["aggregate_bytes"]))
    if kind == "request":
        keys = tuple((int(key["round"]), str(key["client"])) for key in data["keys"])
        return Request(t, str(data["job"]), str(data["workload"]), Pattern(data["pattern"]), keys)
    raise InvalidParameters(f"event {kind!r} is unknown; there are update, commit and request")
