"""Schemas of requests and answers: they validate bodies and describe the API (OpenAPI)."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from flstore_core.records import MAX_WEIGHT_KEY, StatisticsMode, Updates
from services.gateway.tickets import LONGEST_S, Verb


class Strict(BaseModel):
    """A body in which an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class Tensor(Strict):
    """One tensor of a schema."""

    name: str = Field(min_length=1, max_length=512)
    dtype: str = Field(examples=["F32"], description="safetensors dtype code")
    shape: list[int] = Field(max_length=32)


class NewJob(Strict):
    """A job to create."""

    tensors: list[Tensor] = Field(alias="schema", min_length=1, max_length=100_000)
    statistics: StatisticsMode = Field(
        StatisticsMode.EXACT,
        description="what is computed of a round while it is ingested: `exact`, or `off` for nothing",
    )
    updates: Updates | None = Field(
        None,
        description="what clients send: `weights`, models as training left them, or `delta`, differences from the "
        "model that the round started from; aggregates are models with either. By default `weights`, unless the "
        "aggregate of a round shows that they are differences",
    )
    weight_key: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_WEIGHT_KEY,
        description="the metric that weighs a client in FedAvg; `num_examples` or `num-examples` weigh one that has no "
        "number from 0 under that name, in every job",
    )
    clients_per_round: int = Field(10, ge=1, le=10_000, description="updates expected in a round")
    hot_rounds: int = Field(2, ge=1, le=1_000, description="newest committed rounds that are planned to stay in memory")
    replicas: int = Field(1, ge=1, le=8, description="shards that hold each slice")
    slices: int | None = Field(
        None, ge=1, le=1_024, description="slices of the parameter vector; by default planned from the working set"
    )


class CommitBody(Strict):
    """What a commit records about its round."""

    metrics: dict[str, Any] = {}
    hyperparameters: dict[str, Any] = {}
    participants: list[str] | None = Field(
        None, description="clients whose updates must be stored; by default whoever has sent one"
    )
    allow_empty: bool = Field(False, description="commit a round that has neither updates nor an aggregate")
    base: StrictInt | str | None = Field(
        None, description="the round's base, as the parameter `base` of an upload", examples=[3, "none"]
    )


class AggregateBody(BaseModel):
    """Parameters of the workload `aggregate`, which checks them; `GET /v1/workloads` describes them."""

    model_config = ConfigDict(extra="allow")


class NewTickets(Strict):
    """Tickets to issue for one round."""

    clients: list[str] = Field(min_length=1, max_length=10_000, description="who gets a ticket")
    verb: Verb = Field(Verb.UPDATE, description="what a ticket allows: `update` to store, or `aggregate` to read")
    seconds: int = Field(3600, ge=1, le=LONGEST_S, description="for how long a ticket is good")
    replace: bool = Field(False, description="whether the update may take the place of another one of the client")


class IssuedTickets(BaseModel):
    """Tickets, and what they are good for."""

    job: str
    round: int
    verb: Verb
    until: int = Field(description="when they end, in seconds since the epoch")
    tickets: dict[str, str] = Field(description="bearer tokens, by the names of their clients")


class Stored(BaseModel):
    """An update or aggregate that the object store has."""

    job: str
    round: int
    client: str
    sha256: str = Field(description="of the file that is stored")
    nbytes: int
    parameters: int
    created: bool = Field(description="false if this update was stored before, with these metrics")
    rewritten: bool = Field(
        description="true if the tensors came in an order of their own; they are stored in the safetensors library's"
    )
    received_sha256: str = Field(description="of the file that came; another one only if it was rewritten")


class Execution(BaseModel):
    """Where a workload ran and what it took."""

    where: str = Field(
        description="gateway, shards or predictors; shards too if they computed the statistics of an open round"
    )
    cached: bool = Field(description="a kept answer was given again")
    shards: list[str]
    slices: int
    hits: int
    misses: int
    bytes_touched: int
    bytes_fetched: int
    shard_fetch_ms: float
    shard_compute_ms: float
    stages_ms: dict[str, float]
    total_ms: float
    cost: dict[str, float] = Field(
        description="dollars, here and at an aggregator that reads from an object store or a cache"
    )


class Answer(BaseModel):
    """A workload's answer; `GET /v1/workloads` has each result's JSON Schema."""

    job: str
    workload: str
    pattern: str
    rounds: list[int]
    result: Any
    execution: Execution


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    request_id: str


Responses = dict[int | str, dict[str, Any]]

_ALWAYS = (400, 401, 403, 429, 500, 503)
"""Statuses that every route may answer."""

_PROBLEMS: Mapping[int, str] = {
    400: "what came is not HTTP; the answer is plain text, and the connection is closed",
    401: "no valid bearer token",
    403: "the token does not allow this",
    404: "no such job, round, client, workload or operation; the nearest names are suggested",
    406: "the answer cannot be given in the form that Accept names",
    408: "the body did not come in time",
    409: "the request contradicts what is stored",
    411: "the request lacks Content-Length",
    412: "the file is another than If-Match names",
    413: "the body is over the size limit",
    416: "the range lies outside of the object",
    422: "a name, parameter or tensor is not acceptable; the message says which",
    429: "too much in flight; Retry-After says when to come back",
    500: "something unforeseen, or a workload that breaks its contract; the log has it under request_id",
    501: "the workload runs models, and this deployment has no predictor",
    503: "the object store or a shard cannot be reached; Retry-After says when to come back",
    507: "no shard can hold this, or the object store is full",
}


def problems(*statuses: int) -> Responses:
    """Return the OpenAPI description of error responses: `statuses`, and those that every route may give."""
    problem = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    plain = {"text/plain": {"schema": {"type": "string"}}}
    return {
        status: {"description": _PROBLEMS[status], "content": plain if status == 400 else problem}
        for status in sorted({*_ALWAYS, *statuses})
    }


def answers(**descriptions: str) -> Responses:
    """Return the OpenAPI description of further successful responses, such as `s200="it existed before"`."""
    return {int(status.removeprefix("s")): {"description": text} for status, text in descriptions.items()}


_LINKED = {"job": "$request.path.job", "round": "$request.path.round", "client": "$request.path.client"}


def leads_to(status: int, *calls: str, **values: str) -> Responses:
    """Return the OpenAPI links of a response: calls, by operation id, that may follow it with the same path's names.

    Args:
        calls: each with the names it takes from the path, such as `get_update(job, round, client)`.
        values: expressions for names that are not in the path, such as `operation="$response.body#/id"`.
    """
    links = {}
    for call in calls:
        operation, _, names = call.removesuffix(")").partition("(")
        expressions = {**_LINKED, **values}
        links[operation] = {"operationId": operation, "parameters": {n: expressions[n] for n in names.split(", ")}}
    return {status: {"links": links}}


def both(*responses: Responses) -> Responses:
    """Return several descriptions of responses as one; a status may be in more than one of them."""
    merged: Responses = {}
    for each in responses:
        for status, described in each.items():
            merged[status] = {**merged.get(status, {}), **described}
    return merged


def headers(**descriptions: str) -> dict[str, Any]:
    """Return the OpenAPI description of optional request headers that an endpoint reads by itself.

    To have FastAPI pass four headers in takes longer than to answer from statistics.
    """
    text = {"type": "string"}
    parameters = [
        {"in": "header", "name": name.replace("_", "-"), "schema": text, "description": description}
        for name, description in descriptions.items()
    ]
    return {"parameters": parameters}


_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

PARAMETERS = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}
"""OpenAPI description of a request whose body holds a workload's parameters."""

BINARY = {"requestBody": {"content": _BYTES}}
"""OpenAPI description of a request whose body is a file."""

DOWNLOAD: Responses = {
    200: {"description": "the whole file", "content": _BYTES},
    206: {"description": "the requested range", "content": _BYTES},
    304: {"description": "the caller has these very bytes"},
    **problems(404, 412, 416, 422),
}
"""OpenAPI description of the responses to a download."""
