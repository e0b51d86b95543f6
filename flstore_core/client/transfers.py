"""The calls that move models and other files: bytes are hashed both ways, tensors keep a job's order."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from flstore_core.client import paths
from flstore_core.client.bodies import FileBody, Progress
from flstore_core.client.encoding import (
    BINARY,
    Tensors,
    answer_in,
    decode_model,
    encode_model,
    file_body,
    from_json,
)
from flstore_core.client.exchange import Exchange, Request, Response
from flstore_core.client.naming import Id, in_order, is_list, named_as
from flstore_core.client.parts import download, download_range
from flstore_core.client.results import Fields, FileRange, Receipt
from flstore_core.client.retry import send
from flstore_core.client.tensors import body_of
from flstore_core.errors import DigestMismatch, PreconditionFailed, Unavailable
from flstore_core.records import Metrics
from flstore_core.retry import Retry


class Transfers:
    """The calls. `retry` says how often a request is repeated."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry

    def put_update(
        self,
        job: Id,
        round: int,  # noqa: A002 - the field's own word
        client: Id,
        tensors: Tensors,
        *,
        metrics: Metrics | None = None,
        replace: bool = False,
        base: int | str | None = None,
        progress: Progress | None = None,
    ) -> Exchange[Receipt]:
        """Store the update that `client` sent in `round`. It is durable when this returns.

        Storing the same update with the same metrics again changes nothing.

        Args:
            client: its name. One that is not usable as it is, such as `ipv4:10.0.0.1:80`, is encoded (`ids.encode`).
            tensors: arrays by name (sent from their own memory), a torch module or its state dict, a tree of arrays, a
                list of arrays in the order in which the job was created, the bytes of a safetensors file, or its path.
            metrics: JSON values by name. The one that the job names as `weight_key`, or else `num_examples` (or
                `num-examples`), weighs the client in FedAvg.
            replace: take the place of another update of the client, as long as the round is open.
            base: the model that the client started from, which the round's deltas are taken against: an earlier round,
                whose aggregate it is, the SHA-256 of an aggregate, or `"none"`. All updates of a round share it, so it
                suffices that one names it. By default the aggregate of the newest earlier round that has one.
            progress: called with the bytes sent so far and the bytes in all.

        Raises:
            InvalidParameters: naming the argument, tensor or metric that cannot be sent.
            SchemaMismatch, InvalidTensors: naming the tensor.
            Conflict: if the client sent other bytes or other metrics in this round, it names the metrics; if the round
                has another base, it names both.
            NotFound: if `base` is a hash that no aggregate has.
            RoundCommitted: if the round is committed.
        """
        path = paths.update(job, round, client)
        return (yield from self._upload(job, paths.upload(path, replace, base), tensors, metrics, progress))

    def put_aggregate(
        self,
        job: Id,
        round: int,  # noqa: A002
        tensors: Tensors,
        *,
        metrics: Metrics | None = None,
        replace: bool = False,
        base: int | str | None = None,
        progress: Progress | None = None,
    ) -> Exchange[Receipt]:
        """Store the model that `round` ended with: the base that the next round's deltas are taken against.

        See `put_update` for the arguments and errors.
        """
        path = paths.upload(paths.aggregate(job, round), replace, base)
        return (yield from self._upload(job, path, tensors, metrics, progress))

    def put_program(self, job: Id, program: bytes | Path | str | FileBody) -> Exchange[Fields]:
        """Store the program that runs the job's models, as `torch.export.save` writes it; return its inputs.

        Raises:
            SchemaMismatch: if its parameters are not the tensors that the job stores.
        """
        request = Request("PUT", paths.model_program(job), BINARY, file_body(program), states_digest=True)
        return Fields(from_json((yield from self._send(request))))

    def put_dataset(self, job: Id, dataset: Id, tensors: Mapping[str, Any] | FileBody) -> Exchange[Fields]:
        """Store a data set to evaluate models on, and return its record.

        Args:
            tensors: arrays by name: `inputs` and usually `targets`, one row for each example.
        """
        body = tensors if isinstance(tensors, FileBody) else body_of(tensors)
        request = Request("PUT", paths.dataset(job, dataset), BINARY, body, states_digest=True)
        return Fields(from_json((yield from self._send(request))))

    def datasets(self, job: Id, /) -> Exchange[list[Fields]]:
        """Return the records of a job's data sets: name, SHA-256, bytes, tensors."""
        response = yield from self._send(Request("GET", paths.datasets(job)))
        return answer_in(response, lambda answer: [Fields(row) for row in answer["datasets"]])

    def download_range(self, path: str, start: int, stop: int, /) -> Exchange[FileRange]:
        """Return the bytes from `start` to before `stop` of a stored file, fewer if it ends there.

        Args:
            path: of an update, aggregate, program or data set in the HTTP API, see `flstore_core.client.paths`.

        Raises:
            NotFound: if there is no such file.
            Unavailable: if what arrived is not the range that was asked for.
        """
        return (yield from download_range(path, start, stop, self._send))

    def get_update(self, job: Id, round: int, client: Id, /) -> Exchange[dict[str, NDArray[Any]]]:  # noqa: A002
        """Return a client's tensors as arrays, bfloat16 widened to float32."""
        return (yield from self._arrays(job, paths.update(job, round, client)))

    def get_aggregate(self, job: Id, round: int, /, *, sha256: str | None = None) -> Exchange[dict[str, NDArray[Any]]]:  # noqa: A002
        """Return the model that a round ended with as arrays, bfloat16 widened to float32.

        Args:
            sha256: the hash that its file must have, in hexadecimal.

        Raises:
            DigestMismatch: if the file that is stored has another hash.
        """
        return (yield from self._arrays(job, paths.aggregate(job, round), sha256))

    def get_artifact(self, job: Id, artifact: str | Mapping[str, Any], /) -> Exchange[dict[str, NDArray[Any]]]:
        """Return a model that a workload wrote, given its id, its link's `href`, or the link itself."""
        return (yield from self._arrays(job, paths.artifact(job, artifact)))

    def download_raw(
        self,
        job: Id,
        round: int,  # noqa: A002
        client: Id,
        *,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> Exchange[bytearray]:
        """Return the safetensors file of a client, or of the client `aggregate`, checked against its hash.

        Args:
            sha256: the hash that the file must have, in hexadecimal.

        Raises:
            DigestMismatch: if the file that is stored has another hash.
        """
        return (yield from self._download(paths.model(job, round, client), progress, sha256))

    def download_model(
        self,
        job: Id,
        round: int,  # noqa: A002
        client: Id,
        file: BinaryIO,
        *,
        sha256: str | None = None,
        most_bytes: int = sys.maxsize,
    ) -> Exchange[str]:
        """Write the safetensors file of a client, or of the client `aggregate`, to `file`, and return its SHA-256.

        It comes in parts, so that a file of any size takes little memory.

        Args:
            sha256: the hash that the file must have, in hexadecimal.
            most_bytes: longest file to take.

        Raises:
            TooLarge: if the file has more than `most_bytes`.
            DigestMismatch: if the file that is stored has another hash.
        """
        path = paths.model(job, round, client)
        fetch = partial(self._fetch, sha256=sha256)
        return (yield from download(path, file, fetch, sha256=sha256, most_bytes=most_bytes))

    def download_program(self, job: Id, file: BinaryIO, *, most_bytes: int = sys.maxsize) -> Exchange[str]:
        """Write the program that runs the job's models to `file`, and return its SHA-256; see `download_model`."""
        path = paths.model_program(job)
        return (yield from download(path, file, self._send, most_bytes=most_bytes))

    def _upload(
        self,
        job: Id,
        path: str,
        tensors: Tensors,
        metrics: Metrics | None,
        progress: Progress | None,
    ) -> Exchange[Receipt]:
        if is_list(tensors):
            tensors = named_as(tensors, (yield from self._names(job)))
        body, headers = encode_model(tensors, metrics)
        response = yield from self._send(Request("PUT", path, headers, body, progress, states_digest=True))
        receipt = answer_in(response, Receipt.from_json)
        if (received := receipt.received_sha256 or receipt.sha256) != body.sha256:
            raise DigestMismatch(f"{path} was sent as {body.sha256}, but the store has {received}; send it again")
        return receipt

    def _arrays(self, job: Id, path: str, sha256: str | None = None) -> Exchange[dict[str, NDArray[Any]]]:
        arrays = decode_model((yield from self._download(path, sha256=sha256)))
        return in_order(arrays, (yield from self._names(job)))

    def _download(self, path: str, progress: Progress | None = None, sha256: str | None = None) -> Exchange[bytearray]:
        response = yield from self._fetch(Request("GET", path, progress=progress), sha256)
        if not response.has_its_digest:
            raise Unavailable(f"{path} arrived as {response.sha256}, but the server names {response.digest}; try again")
        if sha256 is not None and response.sha256 != sha256:
            raise DigestMismatch(f"{path} has the SHA-256 {response.sha256}, and not {sha256}")
        return response.body

    def _names(self, job: Id) -> Exchange[list[str]]:
        """Return the names of a job's tensors in the order in which it was created."""
        response = yield from self._send(Request("GET", paths.job(job)))
        return answer_in(response, lambda answer: [str(tensor["name"]) for tensor in answer["schema"]])

    def _fetch(self, request: Request, sha256: str | None) -> Exchange[Response]:
        """Ask for a file, which must have a hash, unless that is None."""
        if sha256 is not None:
            request = replace(request, headers={**request.headers, "If-Match": f'"{sha256}"'})
        try:
            return (yield from self._send(request))
        except PreconditionFailed as error:
            raise DigestMismatch(f"{request.path}: {error.detail}") from error

    def _send(self, request: Request) -> Exchange[Response]:
        return send(request, self._retry)
