"""The metadata of a job's rounds as one table, in JSON or as an Arrow stream."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from flstore_core import tables
from flstore_core.errors import NotAcceptable, TooExpensive
from flstore_core.ids import MAX_ROUND, JobId
from flstore_core.patterns import Pattern
from flstore_core.records import Round
from services.gateway.rounds.index import JobIndex
from services.gateway.routes.access import JobName, JsonRoute, Reads
from services.gateway.routes.schemas import both, problems
from services.gateway.state import State

ARROW = "application/vnd.apache.arrow.stream"
"""Media type of Arrow's streams: https://www.iana.org/assignments/media-types/application/vnd.apache.arrow.stream"""
MOST_ROWS = 100_000
"""Most rows of one answer, of about 1 kB each."""

router = APIRouter(prefix="/v1/jobs/{job}", tags=["rounds"], route_class=JsonRoute)


@router.get(
    "/metadata",
    response_class=Response,
    responses=both(
        {
            200: {
                "description": "the table, by columns",
                "content": {
                    "application/json": {"schema": {"type": "object", "additionalProperties": {"type": "array"}}},
                    ARROW: {"schema": {"type": "string", "format": "binary"}},
                },
            }
        },
        problems(404, 406, 422),
    ),
)
async def read_metadata(
    request: Request,
    job: JobName,
    state: Reads,
    first: Annotated[int, Query(ge=0, le=MAX_ROUND, description="first round of the table")] = 0,
    last: Annotated[int, Query(ge=0, le=MAX_ROUND, description="last round of the table")] = MAX_ROUND,
) -> Response:
    """Return the metadata of rounds as one table: a row for each update and aggregate, a column for each metric.

    With `Accept: application/vnd.apache.arrow.stream` it is an Arrow stream, which pandas, polars and DuckDB read as it
    is; otherwise it is JSON, an array for each column. Open rounds are in it too.
    """
    return await state.workers.run(_answer, state, job, first, last, request.headers.get("accept", ""))


def _answer(state: State, job: JobId, first: int, last: int, accept: str) -> Response:
    index = state.rounds.catalog.read_index(job)
    table = tables.columns(_read(state, index, first, last))
    if ARROW not in accept:
        return JSONResponse(table)
    try:
        import pyarrow
    except ImportError as error:
        raise NotAcceptable(
            "this gateway has no pyarrow; ask for application/json, or install flstore[arrow]"
        ) from error
    arrow = tables.to_arrow(table)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    return Response(memoryview(sink.getvalue()), media_type=ARROW)


def _read(state: State, index: JobIndex, first: int, last: int) -> Sequence[Round]:
    """Return the records of rounds `first` to `last`, ascending; raise `TooExpensive` if they have too many rows."""
    committed, open_ = (
        [number for number in numbers if first <= number <= last] for numbers in (index.committed, index.open)
    )
    clients = index.clients_by_round()
    _require_few(rows := sum(clients[number] + 1 for number in committed))
    pairs, _ = state.rounds.records.read_committed(index.job, committed, "metadata", Pattern.P4, statistics=False)
    records = [state.rounds.bases.settle(index, record) for record, _ in pairs]
    for number in open_:  # one by one: the index does not say how many rows they have
        record = state.rounds.openings.read_open(index.job, number)
        _require_few(rows := rows + len(record.members) + 1)
        records.append(record)
    return sorted(records, key=lambda record: record.number)


def _require_few(rows: int) -> None:
    if rows > MOST_ROWS:
        raise TooExpensive(
            f"the table would have about {rows} rows; at most {MOST_ROWS} are returned at once, so ask for fewer "
            "rounds by `first` and `last`",
            rows=rows,
            limit=MOST_ROWS,
        )
