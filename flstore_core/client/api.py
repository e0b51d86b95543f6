"""Every call of the HTTP API: the requests it makes and what their responses mean. Does no I/O; see `exchange`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from flstore_core import ids
from flstore_core.client import paths
from flstore_core.client.bodies import Buffers, Progress
from flstore_core.client.encoding import BINARY, Tensors, decode_model, encode_model, from_json, json_request
from flstore_core.client.exchange import Exchange, Request, Response
from flstore_core.client.results import Answer, Erasure, Fields, JobInfo, Operation, Receipt, RoundInfo
from flstore_core.client.retry import send
from flstore_core.client.tensors import Arrays, body_of, schema_of
from flstore_core.errors import DigestMismatch, InvalidParameters, Unavailable, from_problem
from flstore_core.records import Metrics, Round
from flstore_core.retry import Retry
from flstore_core.schema import Schema

_FIRST_POLL_S, _LONGEST_POLL_S = 0.05, 1.0


class Api:
    """The calls. Names are checked before anything is sent; `retry` says how often a request is repeated."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry

    def create_job(
        self,
        job: str,
        /,
        *,
        like: Arrays | None = None,
        schema: Schema | None = None,
        statistics: str = "exact",
        updates: Literal["weights", "delta"] = "weights",
        clients_per_round: int = 10,
        hot_rounds: int = 2,
        replicas: int = 1,
        slices: int | None = None,
    ) -> Exchange[JobInfo]:
        """Create a job whose updates have the tensors of `like`, or `schema`. Creating it again changes nothing.

        Args:
            like: arrays of a model, by tensor name; only names, dtypes and shapes are sent.
            statistics: `exact`, or `off` to keep none.
            updates: what clients send: `weights`, models as training left them, or `delta`, their differences from the
                aggregate that the round started from. What `put_aggregate` takes is a model with either.
            clients_per_round: updates expected in a round; with `hot_rounds` it sizes the memory planned for the job.
            hot_rounds: committed rounds to keep in memory.
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
            "updates": updates,
            "clients_per_round": clients_per_round,
            "hot_rounds": hot_rounds,
            "replicas": replicas,
            "slices": slices,
        }
        response = yield from self._send(json_request("PUT", paths.job(job), settings))
        return JobInfo.from_json(from_json(response))

    def jobs(self) -> Exchange[list[JobInfo]]:
        """Return all jobs, in brief."""
        response = yield from self._send(Request("GET", "/v1/jobs"))
        return [JobInfo.from_json(row) for row in from_json(response)["jobs"]]

    def job(self, job: str, /) -> Exchange[JobInfo]:
        """Return one job with its schema and settings; raise `NotFound`."""
        response = yield from self._send(Request("GET", paths.job(job)))
        return JobInfo.from_json(from_json(response))

    def delete_job(self, job: str, /) -> Exchange[None]:
        """Remove a job and everything stored for it; raise `NotFound`."""
        yield from self._send(Request("DELETE", paths.job(job)))

    def put_update(
        self,
        job: str,
        round: int,  # noqa: A002 - the field's own word
        client: str,
        tensors: Tensors,
        *,
        metrics: Metrics | None = None,
        progress: Progress | None = None,
    ) -> Exchange[Receipt]:
        """Store the update that `client` sent in `round`. It is durable when this returns.

        Storing the same update with the same metrics again changes nothing.

        Args:
            tensors: arrays by name (sent from their own memory), the bytes of a safetensors file, or its path.
            metrics: JSON values by name; `num_examples` weighs the client in FedAvg.
            progress: called with the bytes sent so far and the bytes in all.

        Raises:
            SchemaMismatch, InvalidTensors: naming the tensor.
            Conflict: if the client sent other bytes or other metrics in this round; it names the metrics.
            RoundCommitted: if the round is committed.
        """
        return (yield from self._upload(paths.update(job, round, client), tensors, metrics, progress))

    def put_aggregate(
        self,
        job: str,
        round: int,  # noqa: A002
        tensors: Tensors,
        *,
        metrics: Metrics | None = None,
        progress: Progress | None = None,
    ) -> Exchange[Receipt]:
        """Store the model that `round` ended with: the base that the next round's deltas are taken against.

        See `put_update` for the arguments and errors.
        """
        return (yield from self._upload(paths.aggregate(job, round), tensors, metrics, progress))

    def put_program(self, job: str, program: bytes) -> Exchange[Fields]:
        """Store the program that runs the job's models, as `torch.export.save` writes it; return its inputs.

        Raises:
            SchemaMismatch: if its parameters are not the tensors that the job stores.
        """
        body = Buffers([memoryview(program)])
        request = Request("PUT", paths.model_program(job), BINARY, body, states_digest=True)
        return Fields(from_json((yield from self._send(request))))

    def put_dataset(self, job: str, dataset: str, tensors: Mapping[str, Any]) -> Exchange[Fields]:
        """Store a data set to evaluate models on, and return its record.

        Args:
            tensors: arrays by name: `inputs` and usually `targets`, one row for each example.
        """
        request = Request("PUT", paths.dataset(job, dataset), BINARY, body_of(tensors), states_digest=True)
        return Fields(from_json((yield from self._send(request))))

    def commit(
        self,
        job: str,
        round: int,  # noqa: A002
        *,
        metrics: Metrics | None = None,
        hyperparameters: Metrics | None = None,
        participants: Sequence[str] | None = None,
    ) -> Exchange[Round]:
        """Commit a round, after which it cannot change, and return its record.

        Committing it again with the same arguments changes nothing.

        Args:
            participants: the clients whose updates must be stored; by default, those whose updates are.

        Raises:
            NotFound: if the round or a participant's update does not exist.
            Conflict: if it was committed with other metrics or hyperparameters.
        """
        body: dict[str, Any] = {"metrics": metrics or {}, "hyperparameters": hyperparameters or {}}
        if participants is not None:
            body["participants"] = list(participants)
        response = yield from self._send(json_request("POST", paths.commit(job, round), body))
        return Round.from_json(from_json(response))

    def rounds(self, job: str, /) -> Exchange[list[RoundInfo]]:
        """Return a job's rounds in brief, open ones too."""
        response = yield from self._send(Request("GET", paths.rounds(job)))
        return [RoundInfo.from_json(row) for row in from_json(response)["rounds"]]

    def round(self, job: str, round: int, /) -> Exchange[Round]:  # noqa: A002
        """Return a round's record: members, metrics, hyperparameters."""
        response = yield from self._send(Request("GET", paths.round_(job, round)))
        return Round.from_json(from_json(response))

    def get_update(self, job: str, round: int, client: str, /) -> Exchange[dict[str, NDArray[Any]]]:  # noqa: A002
        """Return a client's tensors as arrays, bfloat16 widened to float32."""
        return decode_model((yield from self._download(paths.update(job, round, client))))

    def get_aggregate(self, job: str, round: int, /) -> Exchange[dict[str, NDArray[Any]]]:  # noqa: A002
        """Return the model that a round ended with as arrays, bfloat16 widened to float32."""
        return decode_model((yield from self._download(paths.aggregate(job, round))))

    def get_artifact(self, job: str, artifact: str | Mapping[str, Any], /) -> Exchange[dict[str, NDArray[Any]]]:
        """Return a model that a workload wrote, given its id, its link's `href`, or the link itself."""
        return decode_model((yield from self._download(paths.artifact(job, _link(artifact)))))

    def delete_artifact(self, job: str, artifact: str | Mapping[str, Any], /) -> Exchange[None]:
        """Delete a model that a workload wrote, named as for `get_artifact`; raise `NotFound`."""
        yield from self._send(Request("DELETE", paths.artifact(job, _link(artifact))))

    def download_raw(
        self,
        job: str,
        round: int,  # noqa: A002
        client: str,
        *,
        progress: Progress | None = None,
    ) -> Exchange[bytearray]:
        """Return the safetensors file of a client, or of the client `aggregate`, checked against its hash."""
        is_aggregate = client == ids.AGGREGATE
        path = paths.aggregate(job, round) if is_aggregate else paths.update(job, round, client)
        return (yield from self._download(path, progress))

    def erase_client(self, job: str, client: str, /) -> Exchange[Erasure]:
        """Remove everything a client sent to a job; a tombstone in the audit log remains."""
        response = yield from self._send(Request("DELETE", paths.client(job, client)))
        return Erasure.from_json(from_json(response))

    def workloads(self) -> Exchange[list[Fields]]:
        """Return the workloads the server offers: name, pattern, summary, JSON Schemas of parameters and result."""
        response = yield from self._send(Request("GET", "/v1/workloads"))
        return [Fields(row) for row in from_json(response)["workloads"]]

    def run(self, job: str, workload: str, /, **params: Any) -> Exchange[Answer]:
        """Run a workload and return its answer; the server may return the kept answer to an equal question.

        Raises:
            NotFound: for an unknown job, workload, round or client; the message names the nearest.
            InvalidParameters: naming each parameter that does not fit.
            NotEnoughData: if what the workload needs is not stored.
        """
        response = yield from self._send(json_request("POST", paths.workload(job, workload), params))
        return Answer.from_json(from_json(response))

    def run_anew(self, job: str, workload: str, /, **params: Any) -> Exchange[Answer]:
        """Run a workload as `run` does, but never return a kept answer: a measurement needs a new one."""
        request = json_request("POST", paths.workload(job, workload), params, {"Cache-Control": "no-cache"})
        return Answer.from_json(from_json((yield from self._send(request))))

    def submit(self, job: str, workload: str, /, **params: Any) -> Exchange[Operation]:
        """Start a workload without waiting for its answer; pass the returned operation to `wait`."""
        request = json_request("POST", paths.workload(job, workload), params, {"Prefer": "respond-async"})
        response = yield from self._send(request)
        if "location" not in response.headers:
            return Operation("", "succeeded", Answer.from_json(from_json(response)))
        return (yield from self._operation(response.headers["location"].rsplit("/", 1)[-1]))

    def operation(self, operation: str, /) -> Exchange[Operation]:
        """Return an operation's current state."""
        return (yield from self._operation(operation))

    def wait(self, operation: Operation | str, /, timeout: float = 300.0) -> Exchange[Answer]:
        """Return an operation's answer once there is one, or raise the error it failed with.

        Args:
            timeout: seconds to wait before `Unavailable` is raised, requests included; the operation goes on.
        """
        clock = self._retry.clock
        deadline, pause_s = clock() + timeout, _FIRST_POLL_S
        current = operation if isinstance(operation, Operation) else (yield from self._operation(operation))
        while current.state == "running":
            left_s = deadline - clock()
            if left_s <= 0.0:
                raise Unavailable(f"operation {current.id} still runs after {timeout:g} s; wait again")
            current = yield from self._operation(current.id, delay_s=min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LONGEST_POLL_S)
        if current.answer is None:
            raise from_problem(current.problem or {"detail": f"operation {current.id} failed"})
        return current.answer

    def placement(self) -> Exchange[Fields]:
        """Return the placement table: the shards, and which of them own each slice of each job."""
        return Fields(from_json((yield from self._send(Request("GET", "/v1/placement")))))

    def cache(self) -> Exchange[Fields]:
        """Return what the gateway and each shard hold, and their hit rates; wakes no shard."""
        return Fields(from_json((yield from self._send(Request("GET", "/v1/cache")))))

    def _send(self, request: Request) -> Exchange[Response]:
        return send(request, self._retry)

    def _operation(self, operation: str, delay_s: float = 0.0) -> Exchange[Operation]:
        response = yield from self._send(Request("GET", paths.operation(operation), delay_s=delay_s))
        return Operation.from_json(from_json(response))

    def _upload(
        self, path: str, tensors: Tensors, metrics: Metrics | None, progress: Progress | None
    ) -> Exchange[Receipt]:
        body, headers = encode_model(tensors, metrics)
        response = yield from self._send(Request("PUT", path, headers, body, progress, states_digest=True))
        receipt = Receipt.from_json(from_json(response))
        if receipt.sha256 != body.sha256:
            raise DigestMismatch(f"{path} was sent as {body.sha256}, but the store has {receipt.sha256}; send it again")
        return receipt

    def _download(self, path: str, progress: Progress | None = None) -> Exchange[bytearray]:
        response = yield from self._send(Request("GET", path, progress=progress))
        if response.digest is not None and not response.sha256.startswith(response.digest):
            raise Unavailable(f"{path} arrived as {response.sha256}, but the server names {response.digest}; try again")
        return response.body


def _link(artifact: str | Mapping[str, Any]) -> str:
    return artifact if isinstance(artifact, str) else str(artifact["href"])
