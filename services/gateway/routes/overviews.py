"""Overviews of a job's committed rounds, of the size that a screen can show. They read metadata, and wake no shard."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from flstore_core import overviews
from flstore_core.errors import NotEnoughData, unknown
from flstore_core.ids import MAX_ROUND, ClientId, JobId, encode
from flstore_core.patterns import Pattern
from services.gateway.routes.access import ClientName, JobName, JsonRoute, Reads, RoundNumber
from services.gateway.routes.schemas import problems
from services.gateway.state import State

MOST_ROUNDS = 5_000
"""Most rounds of one overview: of more, the newest; `left_out` says how many are older."""

router = APIRouter(prefix="/v1/jobs/{job}", tags=["overviews"], route_class=JsonRoute)

First = Annotated[int, Query(ge=0, le=MAX_ROUND, description="first round of the overview")]
Last = Annotated[int, Query(ge=0, le=MAX_ROUND, description="last round of the overview")]
Width = Annotated[int, Query(ge=1, le=1_000, description="most points or columns; further rounds are put together")]
Rows = Annotated[int, Query(ge=1, le=500, description="most clients of one answer")]


@dataclass(frozen=True)
class _Page:
    """What of the map of participations is wanted."""

    first: int
    last: int
    columns: int
    rows: int
    after: str
    metric: str | None


@router.get("/metrics", responses=problems(404, 422))
async def read_metrics(
    job: JobName, state: Reads, first: First = 0, last: Last = MAX_ROUND, points: Width = 200
) -> JSONResponse:
    """Return how each metric spread over the clients, by round, and the metrics with which rounds were committed.

    `metrics` has `low`, `p10`, `p25`, `p50`, `p75`, `p90`, `high`, `mean` and `count` of each; a point stands for
    `per_point` rounds, the first of which `rounds` names. Of a metric, whole numbers and fractions count.
    """
    return await state.workers.run(_metrics, state, job, first, last, points)


@router.get("/participation", responses=problems(404, 422))
async def read_participation(
    job: JobName,
    state: Reads,
    first: First = 0,
    last: Last = MAX_ROUND,
    columns: Width = 200,
    rows: Rows = 50,
    after: Annotated[str, Query(description="the last client of the page before; `next` names it")] = "",
    metric: Annotated[str | None, Query(description="a metric whose means `values` shall have")] = None,
) -> JSONResponse:
    """Return who took part when: a row for each client, in the order of their names, a column for a few rounds.

    `counts` says in how many of a column's `per_column` rounds a client took part. All clients of the job are rows, in
    pages: `next` names the client after which the next page begins, and is null on the last one.
    """
    page = _Page(first, last, columns, rows, after, metric)
    return await state.workers.run(_participation, state, job, page)


@router.get("/clients/{client}", responses=problems(404, 422))
async def read_client(
    job: JobName, client: ClientName, state: Reads, first: First = 0, last: Last = MAX_ROUND
) -> JSONResponse:
    """Return a client round by round: its metrics, beside the middle half of the clients that took part with it."""
    return await state.workers.run(_client, state, job, client, first, last)


@router.get("/rounds/{round}/norms", responses=problems(404, 422))
async def read_norms(
    job: JobName,
    number: RoundNumber,
    state: Reads,
    tensors: Annotated[int, Query(ge=1, le=1_000, description="most tensors: those with the longest deltas")] = 40,
) -> JSONResponse:
    """Return how long each client's delta is in each tensor, by the statistics that are stored of a committed round."""
    return await state.workers.run(_norms, state, job, number, tensors)


def _norms(state: State, name: JobId, number: int, tensors: int) -> JSONResponse:
    job = state.rounds.catalog.read_job(name)
    ((_, statistics),), _ = state.rounds.records.read_committed(job, [number], "norms", Pattern.P2, statistics=True)
    if statistics is None or statistics.squares.shape[1] != len(job.schema.segments):
        raise NotEnoughData(f"no statistics are stored of round {number} of job {name!r}, so there are no norms")
    return JSONResponse(overviews.layers(statistics, job.schema, tensors))


def _metrics(state: State, job: JobId, first: int, last: int, points: int) -> JSONResponse:
    index = state.rounds.catalog.read_index(job)
    chosen, left_out = _choose(index.committed, first, last)
    spreads = overviews.spreads(state.rounds.records.read_numbers(index.job, chosen), points)
    return JSONResponse({**spreads, "left_out": left_out})


def _participation(state: State, job: JobId, page: _Page) -> JSONResponse:
    index = state.rounds.catalog.read_index(job)
    chosen, left_out = _choose(index.committed, page.first, page.last)
    clients = sorted(index.participations)
    start = bisect_right(clients, ClientId(encode(page.after)))
    stop = start + page.rows
    numbers = state.rounds.records.read_numbers(index.job, chosen)
    drawn = overviews.participation(numbers, clients[start:stop], page.columns, page.metric)
    following = drawn["clients"][-1] if stop < len(clients) else None
    around = {"metrics": overviews.names_of(numbers), "total": len(clients), "next": following, "left_out": left_out}
    return JSONResponse({**drawn, **around})


def _client(state: State, job: JobId, client: ClientId, first: int, last: int) -> JSONResponse:
    index = state.rounds.catalog.read_index(job)
    if client not in index.participations:
        index = state.rounds.catalog.refresh(job)
    if client not in index.participations:
        raise unknown("client", client, index.participations)
    chosen, left_out = _choose(index.participations[client], first, last)
    numbers = state.rounds.records.read_numbers(index.job, chosen)
    return JSONResponse({**overviews.series(numbers, client), "left_out": left_out})


def _choose(numbers: Sequence[int], first: int, last: int) -> tuple[list[int], int]:
    """Return the newest of ascending `numbers` from `first` to `last`, and how many older ones were left out."""
    wanted = [number for number in numbers if first <= number <= last]
    return wanted[-MOST_ROUNDS:], max(0, len(wanted) - MOST_ROUNDS)
