"""A gateway on a real socket, with a door that a test shuts: what a training meets when the store is away."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flstore_core.client import FLStore
from flstore_core.errors import PROBLEM_TYPE
from flstore_core.integrations.recorder import Limits, Recorder
from services.common.proof import Keys, new_key
from services.gateway.app import create_app
from tests.gateway.world import World, world
from tests.serving import served

PATIENT = Limits(deadline_s=60.0, linger_s=60.0)
Rule = Callable[[Request], bool]


@dataclass
class Door:
    """Stands before a gateway.

    Attributes:
        problem: status and code that requests are answered with; None lets them in.
        applies: which requests that is for.
        held: requests for which this is true wait until `let_go`.
        seen: method and path of each request.
    """

    inside: ASGIApp
    gateway: World
    url: str = ""
    problem: tuple[int, str] | None = None
    applies: Rule = lambda request: True
    held: Rule = lambda request: False
    let_go: threading.Event = field(default_factory=threading.Event)
    seen: list[tuple[str, str]] = field(default_factory=list)
    recordings: list[Recorder] = field(default_factory=list)

    def recorder(self, job: str = "j", limits: Limits = PATIENT, **arguments: Any) -> Recorder:
        """Return a recorder whose calls go through the door, and which ends before the gateway does."""
        self.recordings.append(Recorder(self.store, job, limits=limits, **arguments))
        return self.recordings[-1]

    @property
    def store(self) -> FLStore:
        """A client that asks once."""
        return FLStore(self.url, retries=0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.seen.append((request.method, request.url.path))
        if self.held(request):
            await to_thread.run_sync(self.let_go.wait)
        if self.problem and self.applies(request):
            status, code = self.problem
            async for _ in request.stream():
                pass
            document = {"type": PROBLEM_TYPE + code, "status": status, "code": code, "detail": f"the door says {code}"}
            answer = JSONResponse(document, status, media_type="application/problem+json")
            await answer(scope, receive, send)
        else:
            await self.inside(scope, receive, send)

    def shut(self, status: int = 503, code: str = "store-unavailable", applies: Rule = lambda request: True) -> None:
        """Answer requests with a problem from now on."""
        self.problem, self.applies = (status, code), applies

    def open(self) -> None:
        """Let requests in."""
        self.problem = None


@contextmanager
def door() -> Iterator[Door]:
    """Serve a gateway over a store in memory, behind an open door."""
    gateway = world(keys=Keys.parse(new_key()))
    it = Door(create_app(gateway.state), gateway)
    with served(it) as it.url:
        # FastAPI builds its routes with the first request, under filters of warnings that all threads share
        it.store.jobs()
        it.seen.clear()
        try:
            yield it
        finally:
            it.let_go.set()
            it.open()
            for recording in it.recordings:
                recording.finish()
