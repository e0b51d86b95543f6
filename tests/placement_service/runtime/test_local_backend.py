"""A backend's life on this machine, with processes and time that do what the test says."""

import asyncio
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import Unavailable
from flstore_core.ids import ShardId
from services.placement.runtime.base import BackendSpec, BackendState, Cause, End, Kind, Phase, Start
from services.placement.runtime.local.backend import STABLE_AFTER_S, START_LIMIT_S
from services.placement.runtime.local.process import describe_exit
from services.placement.runtime.local.runtime import LocalRuntime
from tests.fakes.program import FakeProcess, FakeProgram
from tests.fakes.time import FakeTime, settle
from tests.placement_service.runtime.witness import Witness

SHARD = ShardId("shard-0")


class Site:
    """One backend of a local runtime, and whoever connects to it."""

    def __init__(self, program: FakeProgram) -> None:
        self.time = FakeTime()
        self.program = program
        self.witness = Witness()
        self.runtime = LocalRuntime(self.witness, program, self.time)
        self.clients = ExitStack()
        self.url = ""

    async def begin(self, idle_s: float = 60.0) -> None:
        self.url = await self.runtime.ensure(BackendSpec(SHARD, 1 << 20, "lru", idle_s))
        await settle()

    async def connect(self) -> None:
        host, port = self.url.removeprefix("http://").split(":")
        self.clients.enter_context(socket.create_connection((host, int(port))))
        if self.program.running and self.program.running[0].awake:
            self.program.running[0].accept()
        await settle()

    @property
    def process(self) -> FakeProcess:
        return self.program.running[0]

    async def greet(self, port: int = 0) -> None:
        self.process.greet(port)
        await settle()

    async def exit(self, code: int) -> None:
        self.process.exit(code)
        await settle()

    async def state(self) -> BackendState:
        return (await self.runtime.observe())[0]

    async def phase(self) -> Phase:
        return (await self.state()).phase


@asynccontextmanager
async def site(program: FakeProgram | None = None, idle_s: float = 60.0) -> AsyncIterator[Site]:
    here = Site(program or FakeProgram({}))
    await here.begin(idle_s)
    try:
        yield here
    finally:
        await here.runtime.close()
        here.clients.close()
        assert here.program.running == [], "no process is left"


async def test_the_example_in_the_module_s_docstring() -> None:
    async with site() as here:
        await here.connect()
        await here.time.advance(0.6)
        await here.greet()
        await here.time.advance(60.0)
        await here.exit(0)
        await here.time.advance(39.4)
        await here.connect()
        await here.time.advance(0.6)
        await here.greet()
        await here.time.advance(99.4)
        await here.exit(-9)
        await here.connect()
        assert await here.phase() is Phase.ZERO
        await here.time.advance(0.1)
        assert await here.phase() is Phase.STARTING
        await here.time.advance(0.4)
        await here.exit(3)
        await here.time.advance(0.19)
        assert await here.phase() is Phase.ZERO
        await here.time.advance(0.01)
        assert await here.phase() is Phase.STARTING
        await here.time.advance(0.5)
        await here.greet()
        state = await here.state()
    assert [(start.cause, start.reason) for start in here.witness.starts] == [
        (Cause.REQUEST, ""),
        (Cause.REQUEST, "idle"),
        (Cause.REPLACEMENT, "exit code 3"),
    ]
    assert [start.seconds for start in here.witness.starts] == pytest.approx([0.6, 0.6, 0.5])
    assert (state.starts, state.failures) == (4, 2)
    assert state.awake_s == pytest.approx(60.6 + 100.0 + 0.4 + 0.5)


async def test_a_greeting_with_a_port_is_the_address_past_the_request_counter() -> None:
    async with site() as here:
        await here.connect()
        assert (await here.state()).direct_url is None
        await here.greet(4711)
        state = await here.state()
        assert (state.direct_url, state.pid) == ("http://127.0.0.1:4711", here.process.pid)
        await here.exit(0)
        state = await here.state()
        assert (state.direct_url, state.pid) == (None, None)


async def test_a_process_that_is_never_ready_is_ended_and_started_anew() -> None:
    async with site() as here:
        await here.connect()
        await here.time.advance(START_LIMIT_S - 0.1)
        assert await here.phase() is Phase.STARTING
        await here.time.advance(0.1)
        await here.time.advance(0.1)
        assert len(here.program.processes) == 2
        assert here.program.processes[0].returncode == 0, "it left when it was told to"
        assert Phase.LEAVING in here.witness.phases
        await here.greet()
        assert here.witness.starts == [Start(Cause.REPLACEMENT, "not ready within 60 s", 0.0)]


async def test_a_process_that_ignores_sigterm_is_killed_after_the_grace() -> None:
    async with site(FakeProgram({}, grace_s=5.0, stubborn=True)) as here:
        await here.connect()
        await here.greet()
        process = here.process
        closing = asyncio.create_task(here.runtime.close())
        codes = []
        for seconds in (4.9, 0.1):
            await here.time.advance(seconds)
            codes.append(process.returncode)
        await closing
    assert codes == [None, -9]
    assert here.witness.phases[-2:] == [Phase.LEAVING, Phase.ZERO]


async def test_a_program_that_cannot_be_started_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async with site(FakeProgram({}, broken=[OSError(12, "Cannot allocate memory")])) as here:
        await here.connect()
        assert "shard-0 cannot be started: [Errno 12] Cannot allocate memory" in caplog.text
        await here.time.advance(0.1)
        await here.greet()
        assert here.witness.starts == [Start(Cause.REPLACEMENT, "cannot be started: Cannot allocate memory", 0.0)]


@pytest.mark.parametrize(("idle_s", "reason"), [(60.0, "idle"), (0.0, "exit code 0")])
async def test_a_backend_that_never_idles_did_not_leave_because_it_was_idle(idle_s: float, reason: str) -> None:
    async with site(idle_s=idle_s) as here:
        await here.connect()
        await here.greet()
        await here.exit(0)
        await here.connect()
        await here.greet()
        assert (here.witness.starts[1].cause, here.witness.starts[1].reason) == (Cause.REQUEST, reason)


async def test_a_crash_after_a_long_life_begins_a_new_series_of_failures(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with site() as here:
        for life_s, failures in ((1.0, 1), (1.0, 2), (STABLE_AFTER_S, 1), (1.0, 2)):
            await here.connect()
            await here.time.advance(1.0)
            await here.greet()
            await here.time.advance(life_s)
            await here.exit(1)
            assert (await here.state()).failures == failures
    assert caplog.text.count("shard-0 ended unexpectedly") == 4


async def test_predictors_come_after_shards_and_run_their_own_module() -> None:
    async with site() as here:
        predictor = BackendSpec(ShardId("predictor-0"), 1, "lru", 0.0, Kind.PREDICTOR)
        await here.runtime.ensure(predictor)
        await here.runtime.ensure(BackendSpec(ShardId("shard-1"), 1, "lru", 0.0))
        assert [state.id for state in await here.runtime.observe()] == ["shard-0", "shard-1", "predictor-0"]
        await here.runtime.remove(ShardId("nobody"))
        await here.runtime.remove(predictor.id)
        assert [state.id for state in await here.runtime.observe()] == ["shard-0", "shard-1"]


async def test_without_a_socket_a_backend_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(Unavailable, match="shard-0: cannot open a listening socket: Too many open files"):
        await LocalRuntime(Witness(), FakeProgram({})).ensure(BackendSpec(SHARD, 1, "lru", 0.0))


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, "exit code 0"), (137, "exit code 137"), (-9, "SIGKILL"), (-15, "SIGTERM"), (-99, "signal 99")],
)
def test_an_exit_is_told_by_code_or_signal(code: int, text: str) -> None:
    assert describe_exit(code) == text


@dataclass
class Model:
    """What a backend should be, by the rules in words."""

    now: float = 0.0
    phase: Phase = Phase.ZERO
    waiting: bool = False
    """Whether a connection waits in the kernel."""
    failures: int = 0
    starts: int = 0
    begun: float = 0.0
    due: float | None = None
    """When the next process starts."""
    awake_s: float = 0.0

    def connect(self) -> None:
        self.waiting = self.waiting or self.phase is not Phase.AWAKE
        self._plan()

    def greet(self) -> None:
        self.phase, self.waiting = Phase.AWAKE, False

    def exit(self, code: int) -> None:
        was_ready = self.phase is Phase.AWAKE
        if was_ready and (code == 0 or self.now - self.begun >= STABLE_AFTER_S):
            self.failures = 0
        if not (was_ready and code == 0):
            self.failures += 1
        self.awake_s += self.now - self.begun
        self.phase = Phase.ZERO
        self._plan()

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            limit = self.begun + START_LIMIT_S if self.phase is Phase.STARTING else None
            moments = [at for at in (self.due, limit) if at is not None and at <= end]
            if not moments:
                break
            self.now = max(self.now, min(moments))
            if self.due is not None:
                self._start()
            else:
                self.exit(0)
        self.now = end

    def _plan(self) -> None:
        if self.phase is Phase.ZERO and self.waiting and self.due is None:
            pause = 0.0 if not self.failures else min(30.0, 0.1 * 2 ** (self.failures - 1))
            self.due = self.now + pause
            if not pause:
                self._start()

    def _start(self) -> None:
        self.phase, self.due, self.begun = Phase.STARTING, None, self.now
        self.starts += 1


Event = tuple[str, float]
EVENTS: Sequence[Event] = (
    ("connect", 0),
    ("greet", 0),
    ("exit", 0),
    ("exit", 3),
    ("exit", -9),
    ("wait", 0.3),
    ("wait", 61.0),
)


async def follow(events: Sequence[Event]) -> None:
    """Let events happen to a backend and to the model, as far as they can, and compare the two after each."""
    async with site() as here:
        model = Model()
        for name, value in events:
            if name == "connect":
                await here.connect()
                model.connect()
            elif name == "wait":
                await here.time.advance(value)
                model.advance(value)
            elif name == "greet" and model.phase is Phase.STARTING:
                await here.greet()
                model.greet()
            elif name == "exit" and model.phase in (Phase.STARTING, Phase.AWAKE):
                await here.exit(int(value))
                model.exit(int(value))
            state = await here.state()
            assert (state.phase, state.starts, state.failures) == (model.phase, model.starts, model.failures)
            running_s = model.now - model.begun if model.phase is not Phase.ZERO else 0.0
            assert state.awake_s == pytest.approx(model.awake_s + running_s)
            assert len(here.program.running) == (model.phase is not Phase.ZERO), "one process at most"


@pytest.mark.parametrize("first", EVENTS, ids=lambda event: f"{event[0]}{event[1]:g}")
async def test_every_order_of_three_events_after_a_connection(first: Event) -> None:
    for rest in itertools.product(EVENTS, repeat=2):
        await follow([("connect", 0), first, *rest])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(EVENTS), max_size=15))
async def test_longer_orders_of_events(events: list[Event]) -> None:
    await follow(events)


async def test_between_an_end_and_the_next_start_the_state_says_how_it_ended() -> None:
    async with site() as here:
        assert (await here.state()).last_end is None
        await here.connect()
        await here.greet()
        await here.exit(0)
        assert (await here.state()).last_end == End("idle", expected=True)
        await here.connect()
        assert (await here.state()).last_end is None
        await here.greet()
        await here.exit(-9)
        assert (await here.state()).last_end == End("SIGKILL", expected=False)


async def test_the_last_ten_starts_are_kept_with_their_times() -> None:
    async with site() as here:
        began = here.time.now()
        for _ in range(12):
            await here.connect()
            await here.time.advance(1.0)
            await here.greet()
            await here.exit(0)
        state = await here.state()
    assert state.recent_starts == tuple(here.witness.starts[2:])
    assert [start.at for start in state.recent_starts] == [began + 3.0 + count for count in range(10)]
