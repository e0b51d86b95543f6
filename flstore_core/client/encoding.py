"""Values of calls as bodies of requests, and bodies of responses as values."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from flstore_core import codec
from flstore_core.client.bodies import Body, Buffers, FileBody
from flstore_core.client.exchange import Request, Response
from flstore_core.client.tensors import Arrays, body_of, json_safe
from flstore_core.errors import InvalidParameters, Unavailable
from flstore_core.records import Metrics

Tensors: TypeAlias = Arrays | bytes | bytearray | memoryview | Path | str
"""A model to send: arrays by name, the bytes of a safetensors file, or its path."""

BINARY: Mapping[str, str] = {"Content-Type": "application/octet-stream"}


def json_request(method: str, path: str, data: Any, headers: Mapping[str, str] | None = None) -> Request:
    """Return a request whose body is `data` as JSON; raise `InvalidParameters` if `data` is no JSON value."""
    body = Buffers([memoryview(to_json(data).encode())])
    return Request(method, path, {"Content-Type": "application/json", **(headers or {})}, body)


def to_json(data: Any) -> str:
    try:
        return json.dumps(data, default=json_safe, allow_nan=False)
    except ValueError as error:
        raise InvalidParameters(f"only finite numbers can be sent as JSON: {error}") from error


def from_json(response: Response) -> dict[str, Any]:
    """Return the JSON object in a response; raise `Unavailable` if it holds none: the URL may be another server's."""
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"the server's answer is not JSON ({error}); is this FLStore's URL?") from error
    if not isinstance(document, dict):
        raise Unavailable("the server's answer is no JSON object; is this FLStore's URL?")
    return document


def encode_model(tensors: Tensors, metrics: Metrics | None) -> tuple[Body, Mapping[str, str]]:
    """Return the body and headers that upload a model with its metrics.

    Arrays are encoded with the metrics in the file's metadata. A ready file is sent unchanged, with the metrics in a
    header.
    """
    text = to_json(metrics) if metrics else None
    if isinstance(tensors, Mapping):
        return body_of(tensors, {"metrics": text} if text else None), BINARY
    return _file_body(tensors), BINARY if text is None else {**BINARY, "X-FLStore-Metrics": text}


def decode_model(body: bytearray) -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file by name, over the body's memory; bfloat16 is widened to float32."""
    arrays, _ = codec.loads(memoryview(body))
    return {name: np.asarray(array) for name, array in arrays.items()}


def _file_body(tensors: bytes | bytearray | memoryview | Path | str) -> Body:
    if not isinstance(tensors, Path | str):
        return Buffers([memoryview(tensors).cast("B")])
    path = Path(tensors)
    try:
        with path.open("rb") as file:  # opened to see whether it can be read: a folder has a size too
            return FileBody(path, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise InvalidParameters(f"file {str(path)!r} cannot be read: {error.strerror}") from error
