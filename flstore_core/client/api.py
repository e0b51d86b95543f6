"""Every call of the HTTP API: the requests it makes and what their responses mean. Does no I/O; see `exchange`.

Those that move models are in `transfers`, and what screens draw of a job in `overviews`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from flstore_core.client import paths
from flstore_core.client.encoding import (
    answer_in,
    from_json,
    json_request,
    values_by_name,
)
from flstore_core.client.endpoint import as_seconds
from flstore_core.client.exchange import Exchange, Request
from flstore_core.client.naming import Id, as_base, client_names, encoded
from flstore_core.client.overviews import Overviews
from flstore_core.client.results import Answer, Erasure, Fields, JobInfo, Operation, RoundInfo
from flstore_core.client.tensors import Arrays, schema_of
from flstore_core.errors import InvalidParameters, Unavailable, from_problem
from flstore_core.records import Metrics, Round
from flstore_core.schema import Schema

_FIRST_POLL_S, _LONGEST_POLL_S = 0.05, 1.0


class Api(Overviews):
    """The calls. Names are checked before anything is sent; `retry` says how often a request is repeated."""

    def create_job(
        self,
        job: Id,
        /,
        *,
        like: Arrays | Sequence[Any] | None = None,
        schema: Schema | None = None,
        statistics: str = "exact",
        updates: Literal["weights", "delta"] | None = None,
        weight_key: str | None = None,
        clients_per_round: int = 10,
        hot_rounds: int = 2,
        replicas: int = 1,
        slices: int | None = None,
    ) -> Exchange[JobInfo]:
        """Create a job whose updates have the tensors of `like`, or `schema`. Creating it again changes nothing.

        Args:
            like: a model, as `put_update` takes it but for files; only names, dtypes and shapes are sent, and tensors
                without values (torch's `meta` device) will do. What comes back later has its order.
            statistics: `exact`, or `off` to keep none.
            updates: what clients send: `weights`, models as training left them, or `delta`, their differences from the
                aggregate that the round started from. If None they are weights, unless a round's aggregate shows that
                they are differences. What `put_aggregate` takes is a model with either.
            weight_key: the metric that weighs a client in FedAvg; `num_examples` (or `num-examples`) weighs one that
                has no number from 0 under that name.
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
        tensors = schema if schema is not None else schema_of(like)
        if not isinstance(tensors, Schema):
            raise InvalidParameters(
                f"schema is a {type(schema).__name__}; pass a flstore_core.schema.Schema, or `like`"
            )
        settings = {
            "schema": tensors.to_json(),
            "statistics": statistics,
            "clients_per_round": clients_per_round,
            "hot_rounds": hot_rounds,
            "replicas": replicas,
            "slices": slices,
        }
        if updates is not None:  # version 0.1.0 does not know the field
            settings["updates"] = updates
        if weight_key is not None:  # nor this one
            settings["weight_key"] = weight_key
        response = yield from self._send(json_request("PUT", paths.job(job), settings, "settings"))
        return answer_in(response, JobInfo.from_json)

    def jobs(self) -> Exchange[list[JobInfo]]:
        """Return all jobs, in brief."""
        response = yield from self._send(Request("GET", "/v1/jobs"))
        return answer_in(response, lambda answer: [JobInfo.from_json(row) for row in answer["jobs"]])

    def job(self, job: Id, /) -> Exchange[JobInfo]:
        """Return one job with its schema and settings; raise `NotFound`."""
        response = yield from self._send(Request("GET", paths.job(job)))
        return answer_in(response, JobInfo.from_json)

    def delete_job(self, job: Id, /) -> Exchange[None]:
        """Remove a job and everything stored for it; raise `NotFound`."""
        yield from self._send(Request("DELETE", paths.job(job)))

    def make_aggregate(
        self,
        job: Id,
        round: int,  # noqa: A002
        /,
        *,
        replace: bool = False,
        early: bool = False,
        **params: Any,
    ) -> Exchange[Answer]:
        """Have the open round's aggregate made of its updates, next to the data, and return how it was made.

        The model is stored as if `put_aggregate` had sent it; its hash is `result.artifact.sha256` of the answer.
        Repeating the call changes nothing.

        Args:
            replace: take the place of another aggregate, as long as the round is open.
            early: return as soon as the model is made, while the store is being sent it. Whoever names its hash can
                fetch it (`download_raw`, `get_aggregate`). It may be lost until the call without `early`, which waits
                for the store, has returned the same hash; make that call before the round is committed.
            params: those of the workload `aggregate`, such as `method="median"`, `clients` or `factors`.

        Raises:
            NotFound: if the round has no updates, or one of `clients` has none.
            NotEnoughData: if the round has fewer updates than the method needs.
            Conflict: if the round has another aggregate.
            RoundCommitted: if the round is committed without one.
        """
        path = paths.upload(paths.aggregate(job, round), replace, early=early)
        response = yield from self._send(json_request("POST", path, encoded(params), "params"))
        return answer_in(response, Answer.from_json)

    def drop_update(self, job: Id, round: int, client: Id, /) -> Exchange[None]:  # noqa: A002
        """Take an update back, as long as its round is open.

        Raises:
            NotFound: if the round has no such update.
            RoundCommitted: if the round is committed.
        """
        yield from self._send(Request("DELETE", paths.update(job, round, client)))

    def drop_aggregate(self, job: Id, round: int, /) -> Exchange[None]:  # noqa: A002
        """Take a round's aggregate back, as long as the round is open; see `drop_update`."""
        yield from self._send(Request("DELETE", paths.aggregate(job, round)))

    def drop_round(self, job: Id, round: int, /) -> Exchange[list[str]]:  # noqa: A002
        """Take everything in an open round back, and return the names of the clients; see `drop_update`."""
        response = yield from self._send(Request("DELETE", paths.round_(job, round)))
        return answer_in(response, lambda answer: [str(client) for client in answer["dropped"]])

    def issue_tickets(
        self,
        job: Id,
        round: int,  # noqa: A002
        clients: Sequence[Id],
        *,
        verb: Literal["update", "aggregate"] = "update",
        seconds: int = 3600,
        replace: bool = False,
    ) -> Exchange[dict[str, str]]:
        """Return a ticket for each client: a token with which it may do one thing in this round, for a while.

        A client uses its ticket as its token: `FLStore(url, ticket)`.

        Args:
            verb: `update` to store its own update of the round, `aggregate` to read the round's aggregate.
            seconds: for how long, at most a day.
            replace: whether its update may take the place of another one it sent.

        Raises:
            NotFound: if there is no such job.
        """
        body = {"clients": client_names(clients), "verb": verb, "seconds": seconds, "replace": replace}
        response = yield from self._send(json_request("POST", paths.tickets(job, round), body, "tickets"))
        return answer_in(response, lambda answer: dict(answer["tickets"]))

    def commit(
        self,
        job: Id,
        round: int,  # noqa: A002
        *,
        metrics: Metrics | None = None,
        hyperparameters: Metrics | None = None,
        participants: Sequence[Id] | None = None,
        allow_empty: bool = False,
        base: int | str | None = None,
    ) -> Exchange[Round]:
        """Commit a round, after which it cannot change, and return its record.

        Committing it again with the same arguments changes nothing.

        Args:
            participants: the clients whose updates must be stored; by default, those whose updates are.
            allow_empty: commit a round that has neither updates nor an aggregate.
            base: the round's base, as `put_update` takes it.

        Raises:
            NotFound: if a participant's update does not exist, or nothing does and the round may not be empty.
            Conflict: if it was committed with other metrics or hyperparameters, or has another base.
        """
        body: dict[str, Any] = {
            "metrics": values_by_name(metrics, "metrics"),
            "hyperparameters": values_by_name(hyperparameters, "hyperparameters"),
        }
        if participants is not None:
            body["participants"] = client_names(participants)
        if allow_empty:
            body["allow_empty"] = True
        if base is not None:
            body["base"] = as_base(base)
        response = yield from self._send(json_request("POST", paths.commit(job, round), body, "commit"))
        return answer_in(response, Round.from_json)

    def rounds(self, job: Id, /) -> Exchange[list[RoundInfo]]:
        """Return a job's rounds in brief, open ones too."""
        response = yield from self._send(Request("GET", paths.rounds(job)))
        return answer_in(response, lambda answer: [RoundInfo.from_json(row) for row in answer["rounds"]])

    def round(self, job: Id, round: int, /) -> Exchange[Round]:  # noqa: A002
        """Return a round's record: members, metrics, hyperparameters."""
        response = yield from self._send(Request("GET", paths.round_(job, round)))
        return answer_in(response, Round.from_json)

    def delete_artifact(self, job: Id, artifact: str | Mapping[str, Any], /) -> Exchange[None]:
        """Delete a model that a workload wrote, named as for `get_artifact`; raise `NotFound`."""
        yield from self._send(Request("DELETE", paths.artifact(job, artifact)))

    def erase_client(self, job: Id, client: Id, /) -> Exchange[Erasure]:
        """Remove everything a client sent to a job, and what was made of it; the answer says what remains."""
        response = yield from self._send(Request("DELETE", paths.client(job, client)))
        return answer_in(response, Erasure.from_json)

    def workloads(self) -> Exchange[list[Fields]]:
        """Return the workloads the server offers: name, pattern, summary, JSON Schemas of parameters and result."""
        response = yield from self._send(Request("GET", "/v1/workloads"))
        return answer_in(response, lambda answer: [Fields(row) for row in answer["workloads"]])

    def run(self, job: Id, workload: str, /, **params: Any) -> Exchange[Answer]:
        """Run a workload and return its answer; the server may return the kept answer to an equal question.

        Raises:
            NotFound: for an unknown job, workload, round or client; the message names the nearest.
            InvalidParameters: naming each parameter that does not fit.
            NotEnoughData: if what the workload needs is not stored.
        """
        response = yield from self._send(json_request("POST", paths.workload(job, workload), encoded(params), "params"))
        return answer_in(response, Answer.from_json)

    def run_anew(self, job: Id, workload: str, /, **params: Any) -> Exchange[Answer]:
        """Run a workload as `run` does, but never return a kept answer: a measurement needs a new one."""
        request = json_request(
            "POST", paths.workload(job, workload), encoded(params), "params", {"Cache-Control": "no-cache"}
        )
        return answer_in((yield from self._send(request)), Answer.from_json)

    def submit(self, job: Id, workload: str, /, **params: Any) -> Exchange[Operation]:
        """Start a workload without waiting for its answer; pass the returned operation to `wait`."""
        request = json_request(
            "POST", paths.workload(job, workload), encoded(params), "params", {"Prefer": "respond-async"}
        )
        response = yield from self._send(request)
        if "location" not in response.headers:
            return Operation("", "succeeded", answer_in(response, Answer.from_json))
        return (yield from self._operation(response.headers["location"].rsplit("/", 1)[-1]))

    def operation(self, operation: str, /) -> Exchange[Operation]:
        """Return an operation's current state."""
        return (yield from self._operation(operation))

    def cancel(self, operation: Operation | str, /) -> Exchange[Operation]:
        """Give an operation up: its work ends at its next step. One that has ended stays as it is."""
        name = operation.id if isinstance(operation, Operation) else operation
        response = yield from self._send(Request("DELETE", paths.operation(name)))
        return answer_in(response, Operation.from_json)

    def wait(self, operation: Operation | str, /, timeout: float = 300.0) -> Exchange[Answer]:
        """Return an operation's answer once there is one, or raise the error it failed with.

        Args:
            timeout: seconds to wait before `Unavailable` is raised, requests included; the operation goes on.
        """
        clock = self._retry.clock
        deadline, pause_s = clock() + as_seconds("timeout", timeout), _FIRST_POLL_S
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

    def explain(self, job: Id, round: int, client: Id, slice: int = 0, /) -> Exchange[Fields]:  # noqa: A002
        """Return since when and why each shard of a slice has a client's part of it, or why not; wakes no shard.

        Args:
            client: its name, or `aggregate` for the round's model.
        """
        return Fields(from_json((yield from self._send(Request("GET", paths.explain(job, round, client, slice))))))

    def cost(self, job: Id | None = None) -> Exchange[Fields]:
        """Return what requests cost by `days` and kind, and would have at both baselines; of all jobs or of one."""
        return Fields(from_json((yield from self._send(Request("GET", paths.cost(job))))))

    def events(self, limit: int = 50) -> Exchange[Fields]:
        """Return what happened lately, the newest first: rounds committed, clients accused, backends started."""
        return Fields(from_json((yield from self._send(Request("GET", f"/v1/events?limit={int(limit)}")))))

    def _operation(self, operation: str, delay_s: float = 0.0) -> Exchange[Operation]:
        response = yield from self._send(Request("GET", paths.operation(operation), delay_s=delay_s))
        return answer_in(response, Operation.from_json)
