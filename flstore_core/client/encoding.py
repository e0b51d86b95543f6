"""Values of calls as bodies of requests, and bodies of responses as values."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from flstore_core import codec
from flstore_core.client.bodies import Body, Buffers, FileBody
from flstore_core.client.exchange import Request, Response
from flstore_core.client.plain import to_json
from flstore_core.client.tensors import Arrays, body_of
from flstore_core.errors import InvalidParameters, Unavailable
from flstore_core.records import Metrics

T = TypeVar("T")

Tensors: TypeAlias = Arrays | Sequence[Any] | bytes | bytearray | memoryview | Path | str | FileBody
"""A model to send: arrays by name, a list of arrays, the bytes of a safetensors file, or its path.

A torch module is taken too; that it has the method `state_dict` cannot be said here without torch.
"""

BINARY: Mapping[str, str] = {"Content-Type": "application/octet-stream"}


def json_request(method: str, path: str, data: Any, what: str, headers: Mapping[str, str] | None = None) -> Request:
    """Return a request with `data` as JSON; raise `InvalidParameters`, which names it `what`, if it is none."""
    body = Buffers([memoryview(to_json(data, what).encode())])
    return Request(method, path, {"Content-Type": "application/json", **(headers or {})}, body)


def from_json(response: Response) -> dict[str, Any]:
    """Return the JSON object in a response; raise `Unavailable` if it holds none: the URL may be another server's."""
    try:
        document = response.document
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"the server's answer is not JSON ({error}); is this FLStore's URL?") from error
    if not isinstance(document, dict):
        raise Unavailable("the server's answer is no JSON object; is this FLStore's URL?")
    return document


def answer_in(response: Response, read: Callable[[dict[str, Any]], T]) -> T:
    """Return what `read` makes of the JSON in a response; raise `Unavailable` if it lacks what the answer has."""
    document = from_json(response)
    try:
        return read(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise Unavailable(f"the server's answer is not the one expected ({reason}); is this FLStore's URL?") from error


def encode_model(tensors: Any, metrics: Metrics | None) -> tuple[Body, Mapping[str, str]]:
    """Return the body and headers that upload a model with its metrics.

    Arrays are encoded with the metrics in the file's metadata. A ready file is sent unchanged, with the metrics in a
    header.
    """
    values = values_by_name(metrics, "metrics")
    text = to_json(values, "metrics") if values else None
    if isinstance(tensors, bytes | bytearray | memoryview | Path | str | FileBody):
        return file_body(tensors), BINARY if text is None else {**BINARY, "X-FLStore-Metrics": text}
    return body_of(tensors, {"metrics": text} if text else None), BINARY


def values_by_name(values: Any, what: str) -> Metrics:
    """Return metrics or the like, None as none; raise `InvalidParameters`, which names them `what`, for no mapping."""
    if values is None or isinstance(values, Mapping):
        return values or {}
    raise InvalidParameters(f"{what}: {values!r:.40} is a {type(values).__name__}; pass values by name")


def decode_model(body: bytearray) -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file by name, over the body's memory; bfloat16 is widened to float32."""
    arrays, _ = codec.loads(memoryview(body))
    return {name: np.asarray(array) for name, array in arrays.items()}


def file_body(file: Any) -> Body:
    """Return a body of bytes, or of a file named by its path; raise `InvalidParameters` if it cannot be read."""
    if isinstance(file, FileBody):
        return file
    if isinstance(file, Path | str):
        return FileBody.of(Path(file))
    try:
        return Buffers([memoryview(file).cast("B")])
    except TypeError as error:
        raise InvalidParameters(f"a {type(file).__name__} is no file; pass its bytes or its path") from error
