"""What messages of a framework carry in place of models: a few hundred bytes of JSON.

An `Assignment` goes to a client, a `Delivery` comes back. Either side reads what the other one wrote, so everything is
checked when it is read: types, names, numbers and lengths. Where a client sends anything is for `Hosts` to decide.

    {"kind": "assignment", "by_value": true, "weight_key": "num_examples",
     "model": {"url": "http://flstore:8080", "job": "mnist", "round": 6, "sha256": "9f86…", "ticket": "flt1.…"},
     "place": {"round": 7, "client": "hospital-a", "ticket": "flt1.…"}}

    {"kind": "delivery", "job": "mnist", "round": 7, "client": "hospital-a", "sha256": "60303ae2…", "nbytes": 46828904}
"""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

import numpy as np

from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.ids import client_id, job_id, round_number

LONGEST = 1 << 20
"""Characters of the longest text that is read; an assignment with the order of a hundred thousand tensors has half."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TICKET = re.compile(r"[!-~]{1,4096}")

T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    """The model that training starts from."""

    url: str
    """Of the gateway."""
    job: str
    """As the store keeps the name."""
    round: int
    """The round whose aggregate it is."""
    sha256: str
    """Of the safetensors file, in hexadecimal."""
    ticket: str
    """Reads it."""
    order: tuple[int, ...] = ()
    """Where the training's first tensor lies in the file, its second, and so on; empty if they lie in that order."""

    def ordered(self, arrays: Mapping[str, T]) -> dict[str, T]:
        """Return arrays of the model's file in the order of the training; those that it does not mention come last."""
        names = list(arrays)
        first = [names[place] for place in self.order if place < len(names)]
        return {name: arrays[name] for name in (*first, *names)}


@dataclass(frozen=True)
class Place:
    """Where a client's own update goes, in the same job."""

    round: int
    client: str
    """As the store keeps the name."""
    ticket: str
    """Stores it."""


@dataclass(frozen=True)
class Assignment:
    """What a client is asked to do."""

    model: Model
    place: Place | None = None
    """None if the model is only to be evaluated."""
    weight_key: str = "num_examples"
    """The metric that weighs the client in the average."""
    by_value: bool = False
    """Whether the client may send its update to the server if it cannot store it."""

    def to_text(self) -> str:
        fields = asdict(self)
        fields["model"]["order"] = _packed(self.model.order)
        return _text("assignment", fields)

    @classmethod
    def from_text(cls, text: object) -> Self:
        """Read an assignment; raise `InvalidParameters` if it is none."""
        return _read(text, "assignment", cls._from_fields)

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> Self:
        model, place = fields["model"], fields["place"]
        return cls(
            Model(
                _as(str, model["url"]),
                job_id(_as(str, model["job"])),
                round_number(_as(int, model["round"])),
                _matching(_SHA256, model["sha256"]),
                _matching(_TICKET, model["ticket"]),
                _unpacked(_as(str, model["order"])),
            ),
            None
            if place is None
            else Place(
                round_number(_as(int, place["round"])),
                client_id(_as(str, place["client"])),
                _matching(_TICKET, place["ticket"]),
            ),
            _as(str, fields["weight_key"]),
            _as(bool, fields["by_value"]),
        )


@dataclass(frozen=True)
class Delivery:
    """What a client says of the update that it has stored."""

    job: str
    round: int
    client: str
    sha256: str
    nbytes: int

    def to_text(self) -> str:
        return _text("delivery", asdict(self))

    @classmethod
    def from_text(cls, text: object) -> Self:
        """Read a delivery; raise `InvalidParameters` if it is none."""
        return _read(text, "delivery", cls._from_fields)

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls(
            job_id(_as(str, fields["job"])),
            round_number(_as(int, fields["round"])),
            client_id(_as(str, fields["client"])),
            _matching(_SHA256, fields["sha256"]),
            _as(int, fields["nbytes"]),
        )


def order_of(names: Sequence[str], in_file: Sequence[str]) -> tuple[int, ...]:
    """Return the places of `names` in a file with these tensors; empty if they lie in that order."""
    places = {name: place for place, name in enumerate(in_file)}
    order = tuple(places[name] for name in names)
    return () if order == tuple(range(len(in_file))) else order


def _packed(order: Sequence[int]) -> str:
    """Return an order in 2.7 characters a tensor, or 5.4 if there are more than 65,536."""
    dtype = "<u2" if len(order) <= 1 << 16 else "<u4"
    return dtype[2:] + base64.b64encode(np.array(order, dtype).tobytes()).decode() if order else ""


def _unpacked(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    dtype = {"2": "<u2", "4": "<u4"}[text[0]]
    order = np.frombuffer(base64.b64decode(text[1:], validate=True), dtype).tolist()
    if sorted(order) != list(range(len(order))):
        raise ValueError("the order names a place twice, or one that there is not")
    return tuple(order)


def _text(kind: str, fields: Mapping[str, Any]) -> str:
    return json.dumps({"kind": kind, **fields}, separators=(",", ":"))


def _read(text: object, kind: str, read: Callable[[Mapping[str, Any]], T]) -> T:
    if not isinstance(text, str) or len(text) > LONGEST:
        raise InvalidParameters(f"the message's {kind} is no text of at most {LONGEST} characters")
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields["kind"] != kind:
            raise ValueError("it is of another kind")
        return read(fields)
    except (ValueError, KeyError, TypeError, RecursionError, FLStoreError) as error:
        raise InvalidParameters(
            f"the message's {kind} cannot be read ({type(error).__name__}: {error}); do both sides have this version?"
        ) from error


def _as(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{value!r:.40} is no {kind.__name__}")
    return value


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not pattern.fullmatch(_as(str, value)):
        raise ValueError(f"{value!r:.20} is not as it has to be")
    return str(value)
