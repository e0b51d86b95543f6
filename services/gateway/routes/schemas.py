"""Bodies of requests and answers, for validation and for the OpenAPI description."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from flstore_core.records import StatisticsMode


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
    statistics: StatisticsMode = Field(StatisticsMode.EXACT, description="worked out while rounds are ingested")
    clients_per_round: int = Field(10, ge=1, le=10_000, description="updates expected in a round")
    hot_rounds: int = Field(2, ge=1, le=1_000, description="committed rounds meant to stay in memory")
    replicas: int = Field(1, ge=1, le=8, description="shards that hold each slice")
    slices: int | None = Field(None, ge=1, le=1_024, description="planned from the working set when left out")


class CommitBody(Strict):
    """What is recorded as a round is closed."""

    metrics: dict[str, Any] = {}
    hyperparameters: dict[str, Any] = {}
    participants: list[str] | None = Field(None, description="clients that must have delivered")


class Stored(BaseModel):
    """An update or aggregate that the object store has."""

    job: str
    round: int
    client: str
    sha256: str
    nbytes: int
    parameters: int
    created: bool = Field(description="false where the same bytes were there before")


class Execution(BaseModel):
    """Where a workload ran and what it took."""

    where: str = Field(description="gateway or shards")
    cached: bool = Field(description="the same question on the same rounds had been answered before")
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
    cost: dict[str, float] = Field(description="dollars here, and for an aggregator with object store or cache")


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

_ALWAYS = (401, 403, 429, 500, 503)
"""Statuses that every route may answer."""

_PROBLEMS: Mapping[int, str] = {
    401: "no valid bearer token",
    403: "the token does not reach as far",
    404: "no such job, round, client or workload; names the nearest",
    408: "the body did not come in time",
    409: "contradicts what is stored",
    411: "Content-Length is needed",
    413: "over the size limit",
    416: "the range lies outside of the object",
    422: "a name, parameter or tensor is not acceptable; says which",
    429: "too much in flight; Retry-After says when to come back",
    500: "something unforeseen, or a workload that does not keep to its contract; the log has it by request_id",
    501: "this deployment has no predictor, which runs models",
    503: "the object store or a shard cannot be reached; Retry-After says when to come back",
    507: "no shard can hold this, or the object store is full",
}


def problems(*statuses: int) -> Responses:
    """Return the OpenAPI description of problem answers, `statuses` and those that every route may give."""
    schema = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": _PROBLEMS[status], "content": schema} for status in sorted({*_ALWAYS, *statuses})}


def answers(**descriptions: str) -> Responses:
    """Return the OpenAPI description of further good answers, such as `s200="it was there before"`."""
    return {int(status.removeprefix("s")): {"description": text} for status, text in descriptions.items()}


def headers(**descriptions: str) -> dict[str, Any]:
    """Return the OpenAPI description of optional request headers that an endpoint reads by itself.

    Injected by FastAPI, four of them and the dependencies take longer than an answer from the statistics does.
    """
    text = {"type": "string"}
    described = [(name.replace("_", "-"), description) for name, description in descriptions.items()]
    parameters = [{"in": "header", "name": name, "schema": text, "description": told} for name, told in described]
    return {"parameters": parameters}


_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

BINARY = {"requestBody": {"content": _BYTES}}
"""OpenAPI description of a request whose body is a file."""

DOWNLOAD: Responses = {
    200: {"description": "the whole file, safetensors", "content": _BYTES},
    206: {"description": "the range asked for", "content": _BYTES},
    304: {"description": "the caller has these very bytes"},
    **problems(404, 416, 422),
}
"""OpenAPI description of what a download answers."""
