"""Checks before every endpoint: names are valid, the caller may do this, and the body is short and comes in time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response

from flstore_core.errors import InvalidParameters, LengthRequired, TooLarge, TooSlow
from flstore_core.ids import MAX_ROUND, NAME_PATTERN, ClientId, JobId, client_id, job_id
from flstore_core.records import Job
from flstore_core.units import parse_natural
from services.gateway.state import State, state_of
from services.gateway.threads import CALLER
from services.gateway.tickets import Ticket, Verb

MAX_JSON_BYTES = 16 * 2**20
"""Longest JSON body: enough for the schema of a hundred thousand tensors."""

BODY_S = 60.0
"""Seconds within which a JSON body has to arrive."""


async def reads(request: Request) -> State:
    """Return the state if the caller may read the job in the path."""
    return _admit(request, write=False)


async def writes(request: Request) -> State:
    """Return the state if the caller may write the job in the path."""
    return _admit(request, write=True)


Name = Annotated[str, Path(json_schema_extra={"pattern": NAME_PATTERN})]
"""A name in the path. It is described by its pattern and not checked by it: our own message says more."""


async def job_in_path(job: Name) -> JobId:
    return job_id(job)


async def client_in_path(client: Name) -> ClientId:
    return client_id(client)


async def stores_update(request: Request) -> State:
    """Return the state if the caller may store the update of the client in the path: by a token, or by a ticket."""
    return _admit_ticket(request, Verb.UPDATE) or _admit(request, write=True)


async def reads_aggregate(request: Request) -> State:
    """Return the state if the caller may read the aggregate of the round in the path: by a token, or by a ticket."""
    return _admit_ticket(request, Verb.AGGREGATE) or _admit(request, write=False)


class JsonRoute(APIRoute):
    """A route that admits the caller and bounds a JSON body's length and time before it is parsed.

    FastAPI alone would read and parse the body first, and only then ask whether the caller may send one. A body is JSON
    whatever its Content-Type says: `curl -d` calls it a form.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        writing = any(dependency.call is writes for dependency in self.dependant.dependencies)

        async def limited(request: Request) -> Response:
            if not self.body_field:
                return await handler(request)
            MutableHeaders(scope=request.scope)["content-type"] = "application/json"
            _admit(request, write=writing)
            await read_body(request)
            try:
                return await handler(request)
            except HTTPException as error:  # FastAPI's, for what it expects least: not UTF-8, too deep, huge numbers
                raise InvalidParameters(f"the body cannot be read as JSON: {error.__cause__}") from error

        return limited


class PlainRoute(APIRoute):
    """A route that is described like any other, but calls its endpoint with the request and the path's names alone.

    For endpoints that are called thousands of times a second: FastAPI's dependencies would take as long as the answer.
    Such an endpoint has to check the caller itself.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handler(request: Request) -> Response:
            response: Response = await self.endpoint(request, **request.path_params)
            return response

        return handler


async def read_body(request: Request, limit: int = MAX_JSON_BYTES) -> bytes:
    """Return a request's body. Starlette keeps it, so that it can be asked for again.

    Raises:
        TooLarge, LengthRequired: as `check_length`, before anything is read.
        TooSlow: if it does not arrive within `BODY_S` seconds.
    """
    check_length(request, limit)
    try:
        async with asyncio.timeout(BODY_S):
            return await request.body()
    except TimeoutError as error:
        raise TooSlow(f"the body did not come within {BODY_S:g} s") from error


def check_length(request: Request, limit: int = MAX_JSON_BYTES) -> None:
    """Raise `TooLarge` if the body has over `limit` bytes, `LengthRequired` if the request does not say how many."""
    if "transfer-encoding" in request.headers:
        raise LengthRequired("send Content-Length, so that the body's size is known before it is read")
    length = int(request.headers.get("content-length", "0"))
    if length > limit:
        raise TooLarge(f"the body has {length} bytes; at most {limit}, a fixed limit, are accepted here")


def _admit_ticket(request: Request, verb: Verb) -> State | None:
    """Return the state if the caller's ticket allows `verb` to what the path names; None if it shows no ticket.

    Raises:
        Unauthorized, Forbidden: as `Tickets.check`.
    """
    state, names = state_of(request), request.path_params
    text = state.tickets.find(request.headers.get("authorization", ""))
    if text is None:
        return None
    number = parse_natural(names["round"], MAX_ROUND)
    request.state.ticket = ticket = state.tickets.check(text, names["job"], number, verb, names.get("client"))
    CALLER.set(f"ticket of {ticket.job}")
    return state


def require_ticket(request: Request, job: Job, *, replace: bool = False) -> None:
    """Raise `Unauthorized` or `Forbidden` if the caller was admitted by a ticket that does not fit the job as it is."""
    ticket: Ticket | None = getattr(request.state, "ticket", None)
    if ticket:
        ticket.require(job, replace=replace)


def _admit(request: Request, *, write: bool) -> State:
    """Return the state; raise `Unauthorized` or `Forbidden` if the caller may not do this to the job in the path."""
    state = state_of(request)
    authorization = request.headers.get("authorization", "")
    CALLER.set(state.tokens.check(authorization, request.path_params.get("job"), write=write))
    return state


Reads = Annotated[State, Depends(reads)]
Writes = Annotated[State, Depends(writes)]
StoresUpdate = Annotated[State, Depends(stores_update)]
ReadsAggregate = Annotated[State, Depends(reads_aggregate)]
JobName = Annotated[JobId, Depends(job_in_path)]
ClientName = Annotated[ClientId, Depends(client_in_path)]
RoundNumber = Annotated[int, Path(alias="round", ge=0, le=MAX_ROUND)]
