"""The header of a safetensors file: parsed without trust, and written.

It is a JSON object of tensors by name, each with its dtype, shape and place in the data section:

    {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}, …}

A header comes from outside. Its length is limited before it is parsed, and tensors must lie one behind the other, each
as long as its dtype and shape say. Whatever is accepted here, the safetensors library accepts too. Where that library
is more generous, as with a name that comes twice, the refusal names the tensor. Some examples of what is in use:

    safetensors, candle    tensors in canonical order (`flstore_core.schema`), spaces up to a multiple of 8
    MLX                    the order of a hash table, no padding, `"__metadata__": null`
    tinygrad               the order in which the model has them
    others                 spaces up to a page or more, so that the data section can be mapped

Source: https://huggingface.co/docs/safetensors, "Format".
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flstore_core.errors import InvalidParameters, InvalidTensors
from flstore_core.schema import Schema, TensorSpec

MAX_HEADER_BYTES = 16 * 2**20
"""Longest header to parse, without the spaces at its end."""

MAX_PADDED_BYTES = 100_000_000
"""Longest header with its spaces: the library's own limit."""

_MAX_DEPTH = 125
"""Depth to which the library reads JSON within a tensor's entry."""

_MEMBERS = frozenset({"dtype", "shape", "data_offsets"})
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BLOCK = 1 << 12


@dataclass(frozen=True)
class Header:
    """What a safetensors header says."""

    schema: Schema
    metadata: Mapping[str, str]
    data_offset: int
    """First byte of the data section."""
    places: tuple[int, ...] = ()
    """Where each of the schema's tensors begins in the data section; empty if they lie in canonical order."""

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file."""
        return self.data_offset + self.schema.nbytes

    @property
    def is_canonical(self) -> bool:
        """Whether every byte lies where the schema alone says."""
        return not self.places

    def tensors(self) -> Iterator[tuple[TensorSpec, int]]:
        """Yield each tensor, in canonical order, with the byte of the file at which it begins."""
        begin = self.data_offset
        for index, tensor in enumerate(self.schema.tensors):
            yield tensor, self.data_offset + self.places[index] if self.places else begin
            begin += tensor.nbytes


@dataclass(frozen=True)
class _Doubled:
    """Stands for a JSON object in which a key comes twice."""

    key: str


def parse(body: memoryview, max_header_bytes: int = MAX_HEADER_BYTES) -> Header:
    """Return the header of a whole safetensors `body`; raise `InvalidTensors` for anything unsound."""
    header = parse_header(body, max_header_bytes)
    if header.nbytes != len(body):
        raise InvalidTensors(f"the header describes {header.nbytes} bytes, but the body has {len(body)}")
    return header


def parse_header(start: memoryview, max_header_bytes: int = MAX_HEADER_BYTES) -> Header:
    """Return the header of a file from its `start`, which need not reach into the data section.

    Args:
        max_header_bytes: longest header to read, without spaces at its end. Hostile JSON takes some thirty times its
            length in memory, so a caller that knows what header to expect should say so.
    """
    if len(start) < 8:
        raise InvalidTensors(f"{len(start)} bytes cannot be safetensors: the header length alone takes 8")
    length = int.from_bytes(start[:8], "little")
    if length > MAX_PADDED_BYTES:
        raise InvalidTensors(f"not safetensors: a header of {length} bytes is over the limit of {MAX_PADDED_BYTES}")
    if 8 + length > len(start):
        raise InvalidTensors(f"truncated: the header takes {length} bytes, but only {len(start) - 8} follow")
    text = _without_padding(start[8 : 8 + length])
    if len(text) > max_header_bytes:
        raise InvalidTensors(f"not safetensors: a header of {len(text)} bytes is over the limit of {max_header_bytes}")
    entries = _load_json(bytes(text))
    metadata = _metadata(entries.pop("__metadata__", None))
    schema, places = _layout(entries)
    return Header(schema, metadata, 8 + length, places)


def encode_header(schema: Schema, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes that precede the data section of a file with `schema`, padded to a multiple of 8."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for tensor in schema.tensors:
        entries[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _without_padding(text: memoryview) -> memoryview:
    """Return `text` without the spaces at its end, of which there may be millions. Nothing is copied."""
    for end in range(len(text), 0, -_BLOCK):
        block = bytes(text[max(0, end - _BLOCK) : end])
        if kept := block.rstrip(b" "):
            return text[: end - len(block) + len(kept)]
    return text[:0]


def _load_json(text: bytes) -> dict[str, Any]:
    try:
        # Decoded here: from bytes, `json` would take UTF-16 and UTF-32 as well, which the safetensors library refuses.
        # To Python, -0 is the whole number 0; to the library it is none. The usual header has none, and is read faster.
        parse_int = _parse_integer if b"-0" in text else None
        entries = json.loads(text.decode(), object_pairs_hook=_distinct, parse_int=parse_int)
        if _SURROGATE.search(text):  # half of a surrogate pair is no text, and could not be answered with
            json.dumps(entries, ensure_ascii=False, default=vars).encode()
    except (ValueError, RecursionError) as error:
        reason = f"the header is not JSON with distinct keys in UTF-8 ({error!s:.100})"
        raise InvalidTensors(f"not safetensors: {reason}") from error
    if isinstance(entries, _Doubled):
        raise InvalidTensors(
            f"not safetensors: the header is not JSON with distinct keys: it has {_shown(entries.key)} twice",
            tensor=entries.key[:100],
        )
    if not isinstance(entries, dict):
        raise InvalidTensors("not safetensors: the header is not a JSON object")
    return entries


def _parse_integer(text: str) -> float:
    return -0.0 if text == "-0" else int(text)


def _distinct(pairs: Iterable[tuple[str, Any]]) -> "dict[str, Any] | _Doubled":
    listed = list(pairs)
    entries = dict(listed)
    if len(entries) == len(listed):
        return entries
    return _Doubled(Counter(key for key, _ in listed).most_common(1)[0][0])


def _metadata(value: Any) -> Mapping[str, str]:
    if value is None:  # as some writers say that there is none
        return {}
    if isinstance(value, _Doubled):
        raise InvalidTensors(f"__metadata__ has {_shown(value.key)} twice")
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidTensors("__metadata__ must map text to text")
    return value


def _layout(entries: Mapping[str, Any]) -> tuple[Schema, tuple[int, ...]]:
    """Return the schema, and where its tensors begin unless they lie in canonical order."""
    schema = Schema.of([_tensor(name, entry) for name, entry in entries.items()])
    offset = 0
    for tensor in schema.tensors:
        if entries[tensor.name]["data_offsets"] != [offset, offset + tensor.nbytes]:
            return schema, _places(schema, entries)
        offset += tensor.nbytes
    return schema, ()


def _places(schema: Schema, entries: Mapping[str, Any]) -> tuple[int, ...]:
    """Return where each tensor begins; raise `InvalidTensors` unless they lie one behind the other in some order."""
    offset = 0
    for tensor in sorted(schema.tensors, key=lambda tensor: entries[tensor.name]["data_offsets"]):
        offsets = entries[tensor.name]["data_offsets"]
        if offsets != [offset, offset + tensor.nbytes]:
            raise InvalidTensors(
                f"tensor {_shown(tensor.name)} lies at {offsets}, expected {[offset, offset + tensor.nbytes]}: tensors "
                "must lie one behind the other, without gaps, each as long as its dtype and shape say",
                tensor=tensor.name[:100],
            )
        offset += tensor.nbytes
    return tuple(entries[tensor.name]["data_offsets"][0] for tensor in schema.tensors)


def _tensor(name: str, entry: Any) -> TensorSpec:
    """Return a tensor's dtype and shape; raise `InvalidTensors`, which names it, unless all of its entry is sound."""
    try:
        return _read_entry(entry, name)
    except (InvalidParameters, ValueError) as error:
        detail = error.detail if isinstance(error, InvalidParameters) else f"tensor {_shown(name)} {error}"
        raise InvalidTensors(detail, tensor=name[:100]) from error


def _read_entry(entry: Any, name: str) -> TensorSpec:
    if isinstance(entry, _Doubled):
        raise ValueError(f"has {_shown(entry.key)} twice")
    if not isinstance(entry, dict) or not entry.keys() >= _MEMBERS:
        raise ValueError("needs dtype, shape and data_offsets")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_sizes(shape):
        raise ValueError(f"has the shape {shape!r:.100}, which is not a list of sizes")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"has the data_offsets {offsets!r:.100}, which are not the numbers of two bytes")
    for member in entry.keys() - _MEMBERS if len(entry) > len(_MEMBERS) else ():
        if not _is_json(entry[member]):
            raise ValueError(f"has the member {_shown(member)}, which is no JSON")
    return TensorSpec(name, str(entry["dtype"])[:20], tuple(shape))


def _are_sizes(numbers: Any) -> bool:
    """Say whether this is a list of integers: to Python, 8.0 equals 8 and false equals 0, but to other readers not."""
    return isinstance(numbers, list) and all(type(number) is int for number in numbers)


def _is_json(value: Any, depth: int = 1) -> bool:
    """Say whether the library reads a value that neither it nor we know: Python takes NaN, and nests without end."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return depth <= _MAX_DEPTH and all(_is_json(each, depth + 1) for each in inner)
    return not isinstance(value, float | int) or abs(value) <= 1.7976931348623157e308


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:60] + "…")
