"""What every endpoint asks first: are the names usable, and may the caller do this?"""

from typing import Annotated

from fastapi import Depends, Path, Request

from flstore_core.ids import MAX_ROUND, ClientId, JobId, client_id, job_id
from services.gateway.state import State, state_of


async def reads(request: Request) -> State:
    """Return the state if the caller may read the job in the path."""
    return _admitted(request, write=False)


async def writes(request: Request) -> State:
    """Return the state if the caller may write the job in the path."""
    return _admitted(request, write=True)


async def job_in_path(job: str) -> JobId:
    return job_id(job)


async def client_in_path(client: str) -> ClientId:
    return client_id(client)


def _admitted(request: Request, *, write: bool) -> State:
    state = state_of(request)
    state.tokens.check(request.headers.get("authorization", ""), request.path_params.get("job"), write=write)
    return state


Reads = Annotated[State, Depends(reads)]
Writes = Annotated[State, Depends(writes)]
JobName = Annotated[JobId, Depends(job_in_path)]
ClientName = Annotated[ClientId, Depends(client_in_path)]
RoundNumber = Annotated[int, Path(alias="round", ge=0, le=MAX_ROUND)]
