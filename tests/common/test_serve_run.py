"""Serving in this very process: readiness, the side door, and every way to leave."""

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.common import serve
from services.common.serve import Listen, run

DEADLINE_S = 20.0


@dataclass
class World:
    """A service on a socket of its own, and the parent's ends of its socket and lifeline."""

    listening: socket.socket
    lifeline: socket.socket
    theirs: socket.socket
    events: list[str] = field(default_factory=list)
    exits: list[tuple[float, int]] = field(default_factory=list)
    """What the process would have been ended with, had it not left by itself."""
    answered: threading.Event = field(default_factory=threading.Event)
    wishes: bool = False
    serving: bool = False
    failure: BaseException | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def wait_until_ready(self) -> int:
        """Return the side door's port once the service says that it answers."""
        return int(self.lifeline.recv(16))

    def run(self, visit: Callable[["World"], None], **options: Any) -> None:
        """Serve in the calling thread while `visit` runs in another; return once the service has left."""

        def guarded() -> None:
            try:
                visit(self)
            except BaseException as error:
                self.failure = error
                self.wishes = True

        visitor = threading.Thread(target=guarded, daemon=True)
        visitor.start()
        listen = Listen(listen_fd=os.dup(self.listening.fileno()), lifeline_fd=self.theirs.detach(), grace_s=2.0)
        self.serving = True
        run(
            self._app(),
            listen,
            should_leave=lambda: self.wishes,
            on_leave=lambda: self.events.append("leaving"),
            **options,
        )
        self.serving = False
        visitor.join(DEADLINE_S)
        if self.failure:
            raise self.failure

    def _app(self) -> Starlette:
        @asynccontextmanager
        async def lifespan(_: Starlette) -> Any:
            self.events.append("begun")
            yield
            self.events.append("ended")

        async def hello(_: Request) -> Response:
            return PlainTextResponse("hello")

        async def slow(request: Request) -> Response:
            self.wishes = True
            await request.body()
            while "leaving" not in self.events:
                await asyncio.sleep(0.01)
            return PlainTextResponse("finished")

        return Starlette(routes=[Route("/", hello), Route("/slow", slow)], lifespan=lifespan)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE_S)
    threshold, kill = gc.get_threshold(), os.kill
    with socket.create_server(("127.0.0.1", 0)) as listening:
        world = World(listening, ours, theirs)
        monkeypatch.setattr(serve, "_exit_after", lambda seconds, code: world.exits.append((seconds, code)))
        # the lifeline's thread outlives the service, and must not end the tests when the lifeline ends with the fixture
        monkeypatch.setattr(os, "kill", lambda pid, number: kill(pid, number) if world.serving else None)
        yield world
        ours.close()
        theirs.close()
        for thread in threading.enumerate():
            if thread.name == "lifeline":
                thread.join(DEADLINE_S)
    gc.unfreeze()
    gc.set_threshold(*threshold)
    gc.enable()


def test_it_answers_once_it_said_so_and_leaves_by_its_own_wish(world: World) -> None:
    def visit(world: World) -> None:
        assert world.wait_until_ready() == 0
        assert world.events == ["begun"]
        assert httpx.get(world.url).text == "hello"
        world.wishes = True

    world.run(visit)
    assert world.events == ["begun", "leaving", "ended"]
    assert world.exits == [(serve.LINGER_S, 0)]


def test_the_side_door_answers_on_a_port_of_its_own_and_is_gone_with_the_service(world: World) -> None:
    ports: list[int] = []

    def visit(world: World) -> None:
        ports.append(world.wait_until_ready())
        assert httpx.get(f"http://127.0.0.1:{ports[0]}/").text == "hello"
        assert httpx.get(world.url).text == "hello"
        world.wishes = True

    world.run(visit, side_door=True)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{ports[0]}/")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_makes_it_leave_and_the_old_handler_is_put_back(world: World, number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def visit(world: World) -> None:
        world.wait_until_ready()
        os.kill(os.getpid(), number)

    world.run(visit)
    assert world.events == ["begun", "leaving", "ended"]
    assert signal.getsignal(number) is before


def test_the_end_of_the_lifeline_makes_it_leave_and_sets_a_last_deadline(world: World) -> None:
    def visit(world: World) -> None:
        world.wait_until_ready()
        world.lifeline.close()

    world.run(visit)
    assert world.events == ["begun", "leaving", "ended"]
    assert (2 * 2.0, 1) in world.exits


def test_an_answer_under_way_is_finished(world: World) -> None:
    answers: list[str] = []

    def visit(world: World) -> None:
        world.wait_until_ready()
        answers.append(httpx.get(f"{world.url}/slow").text)

    world.run(visit)
    assert answers == ["finished"]


def test_a_service_without_descriptors_binds_its_address(world: World) -> None:
    taken = world.listening.getsockname()[1]
    with pytest.raises(OSError, match="in use"):
        run(Starlette(), Listen(port=taken))


def test_port_zero_takes_a_free_one() -> None:
    with serve._socket(Listen(port=0)) as one, serve._socket(Listen(port=0)) as other:
        assert one.getsockname()[1] != other.getsockname()[1]


def test_a_process_that_stays_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        ended.set()

    monkeypatch.setattr(os, "_exit", leave)
    serve._exit_after(0.01, 3)
    assert ended.wait(DEADLINE_S)
    assert codes == [3]
