"""Every call of the HTTP API as a flow: what is sent, and what its answer means."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from flstore_core import codec, ids
from flstore_core.client.models import Answer, Erasure, Fields, JobInfo, Operation, Receipt, RoundInfo
from flstore_core.client.retry import Backoff, send
from flstore_core.client.tensors import Arrays, body_of, json_safe, schema_of
from flstore_core.client.wire import Body, Buffers, FileBody, Flow, Progress, Reply, Request
from flstore_core.errors import InvalidParameters, Unavailable, from_problem
from flstore_core.records import Metrics, Round
from flstore_core.schema import Schema

Tensors: TypeAlias = Arrays | bytes | bytearray | memoryview | Path | str
"""What a model is sent from: arrays by name, the bytes of a safetensors file, or its path."""

_FIRST_POLL, _SLOWEST_POLL = 0.05, 1.0


class Calls:
    """The API, free of I/O. Names are checked before anything is sent; `backoff` governs repeated attempts."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff

    def create_job(
        self,
        job: str,
        /,
        *,
        like: Arrays | None = None,
        schema: Schema | None = None,
        statistics: str = "exact",
        clients_per_round: int = 10,
        hot_rounds: int = 2,
        replicas: int = 1,
        slices: int | None = None,
    ) -> Flow[JobInfo]:
        """Create a job whose updates have the tensors of `like`, or `schema`; the same job twice is fine.

        Args:
            like: arrays of a model, by tensor name; only names, dtypes and shapes are sent.
            statistics: `exact`, or `off` to keep none.
            clients_per_round: updates expected in a round; with `hot_rounds` it sizes the memory planned for the job.
            replicas: shards that hold each slice.
            slices: parts the parameter vector is cut into; planned by the server if None.

        Raises:
            Conflict: if the job exists with other settings.
            InsufficientCapacity: if no shard can hold a slice of one update.
        """
        if (like is None) == (schema is None):
            raise InvalidParameters("give either `like`, arrays of a model, or `schema`")
        tensors = schema if schema is not None else schema_of(like or {})
        settings = {
            "schema": tensors.to_json(),
            "statistics": statistics,
            "clients_per_round": clients_per_round,
            "hot_rounds": hot_rounds,
            "replicas": replicas,
            "slices": slices,
        }
        reply = yield from self._send(_with_json("PUT", _job(job), settings))
        return JobInfo.from_json(_settled(_json(reply)))

    def jobs(self) -> Flow[list[JobInfo]]:
        """Return all jobs, in brief."""
        reply = yield from self._send(Request("GET", "/v1/jobs"))
        return [JobInfo.from_json(_settled(row)) for row in _json(reply)["jobs"]]

    def job(self, job: str, /) -> Flow[JobInfo]:
        """Return one job with its schema and settings; raise `NotFound`."""
        reply = yield from self._send(Request("GET", _job(job)))
        return JobInfo.from_json(_settled(_json(reply)))

    def delete_job(self, job: str, /) -> Flow[None]:
        """Remove a job and everything stored for it; raise `NotFound`."""
        yield from self._send(Request("DELETE", _job(job)))

    def put_update(
        self,
        job: str,
        round: int,  # noqa: A002 - the field's own word
        client: str,
        tensors: Tensors,
        *,
        metrics: Metrics | None = None,
        progress: Progress | None = None,
    ) -> Flow[Receipt]:
        """Store what `client` sent in `round`. It is durable when this returns; the same bytes twice are fine.

        Args:
            tensors: arrays by name (sent from their own memory), the bytes of a safetensors file, or its path.
            metrics: JSON values by name; `num_examples` weighs the client in FedAvg.
            progress: called with bytes sent and bytes in all.

        Raises:
            SchemaMismatch, InvalidTensors: naming the tensor.
            Conflict: if the client sent other bytes in this round.
            RoundCommitted: if the round is closed.
        """
        path = _member(job, round, ids.client_id(client))
        return (yield from self._upload(path, tensors, metrics, progress))

    def put_aggregate(
        self,
        job: str,
        round: int,  # noqa: A002
        tensors: Tensors,
        *,
        metrics: Metrics | None = None,
        progress: Progress | None = None,
    ) -> Flow[Receipt]:
        """Store the model that `round` ended with: the base that the next round's deltas are taken against.

        See `put_update` for the arguments and errors.
        """
        return (yield from self._upload(_member(job, round, ids.AGGREGATE), tensors, metrics, progress))

    def put_program(self, job: str, program: bytes) -> Flow[Fields]:
        """Store the program that runs the job's models, as `torch.export.save` writes it, and return what it takes.

        Raises:
            SchemaMismatch: if its parameters are not the tensors that the job stores.
        """
        headers = {"Content-Type": "application/octet-stream"}
        request = Request("PUT", f"{_job(job)}/model", headers, Buffers([memoryview(program)]))
        return Fields(_json((yield from self._send(request))))

    def put_dataset(self, job: str, dataset: str, tensors: Mapping[str, Any]) -> Flow[Fields]:
        """Store a data set to evaluate models on, and return its record.

        Args:
            tensors: arrays by name: `inputs` and mostly `targets`, one row an example.
        """
        path = f"{_job(job)}/datasets/{ids.object_name('data set', dataset)}"
        request = Request("PUT", path, {"Content-Type": "application/octet-stream"}, body_of(tensors))
        return Fields(_json((yield from self._send(request))))

    def commit(
        self,
        job: str,
        round: int,  # noqa: A002
        *,
        metrics: Metrics | None = None,
        hyperparameters: Metrics | None = None,
        participants: Sequence[str] | None = None,
    ) -> Flow[Round]:
        """Close a round, for good, and return its record; closing it again in the same words changes nothing.

        Args:
            participants: the clients whose updates must be there; those that are there, by default.

        Raises:
            NotFound: if the round, or a participant's update, is not there.
            Conflict: if it was closed with other metrics or hyperparameters.
        """
        body: dict[str, Any] = {"metrics": metrics or {}, "hyperparameters": hyperparameters or {}}
        if participants is not None:
            body["participants"] = list(participants)
        reply = yield from self._send(_with_json("POST", _round(job, round) + "/commit", body))
        return Round.from_json(_json(reply))

    def rounds(self, job: str, /) -> Flow[list[RoundInfo]]:
        """Return a job's rounds in brief, open ones too."""
        reply = yield from self._send(Request("GET", _job(job) + "/rounds"))
        return [RoundInfo.from_json(row) for row in _json(reply)["rounds"]]

    def round(self, job: str, round: int, /) -> Flow[Round]:  # noqa: A002
        """Return a round's record: members, metrics, hyperparameters."""
        reply = yield from self._send(Request("GET", _round(job, round)))
        return Round.from_json(_json(reply))

    def get_update(self, job: str, round: int, client: str, /) -> Flow[dict[str, NDArray[Any]]]:  # noqa: A002
        """Return a client's tensors as arrays, bfloat16 widened to float32."""
        return _arrays((yield from self._download(_member(job, round, ids.client_id(client)), None)))

    def get_aggregate(self, job: str, round: int, /) -> Flow[dict[str, NDArray[Any]]]:  # noqa: A002
        """Return the model that a round ended with, bfloat16 widened to float32."""
        return _arrays((yield from self._download(_member(job, round, ids.AGGREGATE), None)))

    def get_artifact(self, job: str, artifact: str | Mapping[str, Any], /) -> Flow[dict[str, NDArray[Any]]]:
        """Return a model that a workload wrote, given its id, its link's `href`, or the link itself."""
        link = artifact if isinstance(artifact, str) else str(artifact["href"])
        name = ids.object_name("artifact", link.rsplit("/", 1)[-1])
        return _arrays((yield from self._download(f"{_job(job)}/artifacts/{name}", None)))

    def download_raw(
        self,
        job: str,
        round: int,  # noqa: A002
        client: str,
        *,
        progress: Progress | None = None,
    ) -> Flow[bytearray]:
        """Return the safetensors file of a client, or of the client `aggregate`, checked against its hash."""
        name = client if client == ids.AGGREGATE else ids.client_id(client)
        return (yield from self._download(_member(job, round, name), progress))

    def erase_client(self, job: str, client: str, /) -> Flow[Erasure]:
        """Remove everything a client sent to a job; a tombstone in the audit log remains."""
        reply = yield from self._send(Request("DELETE", f"{_job(job)}/clients/{ids.client_id(client)}"))
        return Erasure.from_json(_json(reply))

    def workloads(self) -> Flow[list[Fields]]:
        """Return the workloads the server offers: name, pattern, summary, JSON Schemas of parameters and result."""
        reply = yield from self._send(Request("GET", "/v1/workloads"))
        return [Fields(row) for row in _json(reply)["workloads"]]

    def run(self, job: str, workload: str, /, **params: Any) -> Flow[Answer]:
        """Run a workload and return its answer, which may be one that was kept from the same question before.

        Raises:
            NotFound: for an unknown job, workload, round or client; the message names the nearest.
            InvalidParameters: naming each parameter that does not fit.
            NotEnoughData: if what it needs is not stored.
        """
        reply = yield from self._send(_with_json("POST", _workload(job, workload), params))
        return Answer.from_json(_json(reply))

    def run_anew(self, job: str, workload: str, /, **params: Any) -> Flow[Answer]:
        """Run a workload as `run` does, but have the answer worked out again, as a measurement must."""
        request = _with_json("POST", _workload(job, workload), params, {"Cache-Control": "no-cache"})
        return Answer.from_json(_json((yield from self._send(request))))

    def submit(self, job: str, workload: str, /, **params: Any) -> Flow[Operation]:
        """Start a workload without waiting for its answer; hand what this returns to `wait`."""
        request = _with_json("POST", _workload(job, workload), params, {"Prefer": "respond-async"})
        reply = yield from self._send(request)
        if "location" not in reply.headers:
            return Operation("", "succeeded", Answer.from_json(_json(reply)))
        return (yield from self.operation(reply.headers["location"].rsplit("/", 1)[-1]))

    def operation(self, operation: str, /) -> Flow[Operation]:
        """Return how an operation stands."""
        return (yield from self._operation(operation, after=0.0))

    def wait(self, operation: Operation | str, /, timeout: float = 300.0) -> Flow[Answer]:
        """Return an operation's answer once there is one, or raise the error it failed with.

        Args:
            timeout: seconds to wait before `Unavailable` is raised; the operation goes on.
        """
        now = operation if isinstance(operation, Operation) else (yield from self.operation(operation))
        pause, waited = _FIRST_POLL, 0.0
        while now.state == "running":
            if waited >= timeout:
                raise Unavailable(f"operation {now.id} still runs after {timeout:g} s; wait again")
            now = yield from self._operation(now.id, after=pause)
            waited, pause = waited + pause, min(2 * pause, _SLOWEST_POLL)
        if now.answer is None:
            raise from_problem(now.problem or {"detail": f"operation {now.id} failed"})
        return now.answer

    def placement(self) -> Flow[Fields]:
        """Return the placement table: shards, and which own which slices of which job."""
        return (yield from self._fields("/v1/placement"))

    def cache(self) -> Flow[Fields]:
        """Return what the gateway and each shard hold, and their hit rates; wakes no shard."""
        return (yield from self._fields("/v1/cache"))

    def _send(self, request: Request) -> Flow[Reply]:
        return send(request, self._backoff)

    def _fields(self, path: str) -> Flow[Fields]:
        return Fields(_json((yield from self._send(Request("GET", path)))))

    def _operation(self, operation: str, after: float) -> Flow[Operation]:
        path = f"/v1/operations/{ids.object_name('operation', operation)}"
        return Operation.from_json(_json((yield from self._send(Request("GET", path, after=after)))))

    def _upload(self, path: str, tensors: Tensors, metrics: Metrics | None, progress: Progress | None) -> Flow[Receipt]:
        headers = {"Content-Type": "application/octet-stream"}
        text = _dumps(metrics) if metrics else None
        if isinstance(tensors, Mapping):
            body: Body = body_of(tensors, {"metrics": text} if text else None)
        else:
            body = _file_body(tensors)
            headers |= {"X-FLStore-Metrics": text} if text else {}
        reply = yield from self._send(Request("PUT", path, headers, body, progress))
        return Receipt.from_json(_json(reply))

    def _download(self, path: str, progress: Progress | None) -> Flow[bytearray]:
        reply = yield from self._send(Request("GET", path, progress=progress))
        if reply.digest is not None and not reply.sha256.startswith(reply.digest):
            raise Unavailable(f"{path} arrived as {reply.sha256}, but the server names {reply.digest}; try again")
        return reply.body


def _job(job: str) -> str:
    return f"/v1/jobs/{ids.job_id(job)}"


def _round(job: str, number: int) -> str:
    return f"{_job(job)}/rounds/{ids.round_number(number)}"


def _member(job: str, number: int, client: str) -> str:
    return f"{_round(job, number)}/" + ("aggregate" if client == ids.AGGREGATE else f"clients/{client}")


def _workload(job: str, workload: str) -> str:
    return f"{_job(job)}/workloads/{ids.object_name('workload', workload)}"


def _with_json(method: str, path: str, data: Any, headers: Mapping[str, str] | None = None) -> Request:
    body = Buffers([memoryview(_dumps(data).encode())])
    return Request(method, path, {"Content-Type": "application/json", **(headers or {})}, body)


def _dumps(data: Any) -> str:
    try:
        return json.dumps(data, default=json_safe, allow_nan=False)
    except ValueError as error:
        raise InvalidParameters(f"only finite numbers can be sent as JSON: {error}") from error


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except ValueError as error:
        raise Unavailable(f"the server's answer is not JSON ({error}); is this FLStore's URL?") from error


def _settled(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a job's JSON with its lists as tuples, as frozen values hold them."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def _file_body(tensors: bytes | bytearray | memoryview | Path | str) -> Body:
    if not isinstance(tensors, Path | str):
        return Buffers([memoryview(tensors).cast("B")])
    path = Path(tensors)
    try:
        return FileBody(path, path.stat().st_size)
    except OSError as error:
        raise InvalidParameters(f"file {str(path)!r} cannot be read: {error.strerror}") from error


def _arrays(body: bytearray) -> dict[str, NDArray[Any]]:
    arrays, _ = codec.loads(memoryview(body))
    return {name: np.asarray(array) for name, array in arrays.items()}
