"""Reads a trace from JSON Lines and checks it, line by line.

One event a line, ordered by `t` in seconds:

    {"t": 0.0, "event": "update", "job": "j", "round": 3, "client": "17", "bytes": 46796528}
    {"t": 9.0, "event": "commit", "job": "j", "round": 3, "aggregate_bytes": 46796528}
    {"t": 12.5, "event": "request", "job": "j", "workload": "clustering", "pattern": "P2",
     "keys": [{"round": 3, "client": "17"}]}

A key's `client` may be "aggregate" or "metadata". The first event of a round creates its metadata, of `METADATA_BYTES`.
A repeated update or commit changes nothing, as in a live system.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from sys import intern
from typing import Any

from flstore_core.errors import FLStoreError, InvalidParameters, unknown
from flstore_core.ids import AGGREGATE, METADATA, round_number
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Request
from flstore_core.simulator.events import METADATA_BYTES, Committed, Created, Event, Requested, Trace

_MOST = 2**63 - 1
"""Largest size in bytes and time in seconds: what is larger does not fit into a float's arithmetic any more."""
_PATTERNS = {pattern.value: pattern for pattern in Pattern}


class TraceError(InvalidParameters):
    """A line of a trace is not usable; the message names the line."""

    code, title = "invalid-trace", "The trace cannot be replayed"


def read_trace(source: Path | Iterable[str]) -> Trace:
    """Return the trace in a file or in lines of text; raise `TraceError` naming the first bad line."""
    if not isinstance(source, Path):
        return _read_lines(source)
    try:
        with source.open("rb") as lines:  # as bytes: each line is decoded by itself, so that a bad one can be named
            return _read_lines(lines)
    except OSError as error:
        raise TraceError(f"trace {str(source)!r} cannot be read: {error.strerror}") from error


def _read_lines(lines: Iterable[str | bytes]) -> Trace:
    reader = _Reader()
    number = 0
    for number, line in enumerate(lines, start=1):
        try:
            reader.read(line)
        except FLStoreError as error:
            raise TraceError(f"line {number}: {error.detail}", line=number) from error
    if not reader.events:
        raise TraceError("the trace has no events")
    return Trace(reader.events, number, reader.sizes)


class _Reader:
    """Turns lines into events and remembers what they created."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.sizes: dict[Key, int] = {}
        self._keys: dict[Key, Key] = {}
        """The one instance of each key: a lookup is faster where equal keys are the same object."""
        self._now = -math.inf
        self._parsers = {"update": self._update, "commit": self._commit, "request": self._request}

    def read(self, line: str | bytes) -> None:
        event = _parse(line)
        self._now = _time(event, self._now)
        kind = _text(event, "event")
        if kind not in self._parsers:
            raise unknown("event", kind, self._parsers)
        self._parsers[kind](event)

    def _update(self, event: Mapping[str, Any]) -> None:
        client = _text(event, "client")
        if client in (AGGREGATE, METADATA):
            raise InvalidParameters(f"client {client!r} is a reserved name; give the update the name of a client")
        self._create(Key(_text(event, "job"), _round(event), client), _size(event, "bytes"))

    def _commit(self, event: Mapping[str, Any]) -> None:
        key = Key(_text(event, "job"), _round(event), AGGREGATE)
        if self._create(key, _size(event, "aggregate_bytes")):
            self.events.append(Committed(self._now, key.job, key.round))

    def _request(self, event: Mapping[str, Any]) -> None:
        job = _text(event, "job")
        pattern = _PATTERNS.get(_text(event, "pattern"))
        if pattern is None:
            raise unknown("pattern", event["pattern"], _PATTERNS)
        keys = tuple(self._created(job, key) for key in _field(event, "keys", list))
        self.events.append(Requested(self._now, Request(job, _text(event, "workload"), pattern, keys)))

    def _create(self, key: Key, size: int) -> bool:
        """Add an object, and the round's metadata if it is the first of its round; return whether it is new."""
        if (before := self.sizes.get(key)) is not None:
            if before != size:
                raise InvalidParameters(f"{_name(key)} has {size} bytes, but {before} in an earlier line")
            return False
        metadata = Key(key.job, key.round, METADATA)
        if metadata not in self.sizes:
            self._add(metadata, METADATA_BYTES)
        self._add(key, size)
        return True

    def _add(self, key: Key, size: int) -> None:
        self.sizes[key] = size
        self._keys[key] = key
        self.events.append(Created(self._now, key, size))

    def _created(self, job: str, fields: Any) -> Key:
        if not isinstance(fields, dict):
            raise InvalidParameters(f"a key is {_shown(fields)}; use an object with round and client")
        key = Key(job, _round(fields), _text(fields, "client"))
        instance = self._keys.get(key)
        if instance is None:
            raise InvalidParameters(f"{_name(key)} is requested, but no earlier event created it")
        return instance


def _parse(line: str | bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(line if isinstance(line, str) else line.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidParameters(f"not a whole JSON object: {error}") from error
    if not isinstance(event, dict):
        raise InvalidParameters(f"an event is a JSON object, not {type(event).__name__}")
    return event


def _time(event: Mapping[str, Any], now: float) -> float:
    t = _field(event, "t", (int, float))
    if not -_MOST <= t <= _MOST:  # not a number either; compared and not converted, since an integer may be too large
        raise InvalidParameters(f"t is {_shown(t)}; use seconds as a finite number below 2**63")
    if t < now:
        raise InvalidParameters(f"t is {t}, before the {now} of an earlier line; order events by time")
    return float(t)


def _field(event: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    value = event.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        shown = "missing" if name not in event else _shown(value)
        raise InvalidParameters(f"{name} is {shown}; see the format of traces")
    return value


def _text(event: Mapping[str, Any], name: str) -> str:
    text = _field(event, name, str)
    if not text.isprintable():  # half of a surrogate pair could not even be shown in a message
        raise InvalidParameters(f"{name} is {_shown(text)}; use printable text")
    return intern(text)


def _round(event: Mapping[str, Any]) -> int:
    return round_number(_field(event, "round", int))


def _size(event: Mapping[str, Any], name: str) -> int:
    size = int(_field(event, name, int))
    if not 0 <= size <= _MOST:
        raise InvalidParameters(f"{name} is {_shown(size)}; a size is zero or more, and below 2**63")
    return size


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"


def _name(key: Key) -> str:
    return f"round {key.round} {key.client} of job {key.job!r}"
