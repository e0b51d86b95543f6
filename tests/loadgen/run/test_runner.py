"""The runner's order of calls, against a target that a test holds up and lets fail."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from flstore_core.errors import Busy, Conflict, InvalidParameters
from flstore_core.patterns import Pattern
from loadgen.run.events import Commit, Event, Request, Update
from loadgen.run.questions import Catalogue, Question
from loadgen.run.runner import LEAST_FOR_BUDGET, BudgetSpentError, Pace, Plan, Replay
from loadgen.run.tally import Tally
from loadgen.run.target import Answered

NORMS = {"name": "norms", "parameters": {"properties": {"models": {}, "pattern": {}}}}
FAST = Plan(speed=1e6)


class Target:
    """Remembers its calls in order; a gate that is closed holds up what it names."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failing: dict[str, Exception] = {}

    async def _call(self, name: str) -> None:
        self.calls.append(f"begin {name}")
        if gate := self.gates.get(name):
            await gate.wait()
        if error := self.failing.get(name.split()[0]):
            raise error
        self.calls.append(f"end {name}")

    async def create_job(self, job: str, schema: Any, settings: Any) -> None:
        await self._call(f"create {job}")

    async def put(self, job: str, number: int, client: str, models: Any) -> None:
        await self._call(f"put {number} {client}")

    async def commit(self, job: str, number: int) -> None:
        await self._call(f"commit {number}")

    async def ask(self, job: str, question: Question) -> Answered:
        await self._call(f"ask {question.params[0]['models'][0]['round']}")
        return Answered(hits=1, dollars=0.5)


def round_of(number: int, t: float = 0.0) -> list[Event]:
    return [Update(t, "j", number, "a", 400), Update(t, "j", number, "b", 400), Commit(t, "j", number, 400)]


def ask(number: int, t: float = 0.0) -> Request:
    return Request(t, "j", "norms", Pattern.P2, ((number, "a"),))


async def run(target: Target, events: Sequence[Event], plan: Plan = FAST) -> tuple[Replay, Tally]:
    tally = Tally()
    loop = asyncio.get_running_loop()
    replay = Replay(target, Catalogue([NORMS]), plan, tally, loop.time)  # type: ignore[arg-type]
    try:
        await replay.run(events)
    finally:
        await replay.cancel()
    return replay, tally


def before(calls: list[str], first: str, second: str) -> bool:
    return calls.index(first) < calls.index(second)


async def test_a_commit_follows_its_updates_and_its_aggregate() -> None:
    target = Target()
    _, tally = await run(target, round_of(0))
    assert target.calls[0] == "begin create j", "the job is created by the first upload"
    assert target.calls.count("begin create j") == 1
    for upload in ("end put 0 a", "end put 0 b", "end put 0 aggregate"):
        assert before(target.calls, upload, "begin commit 0")
    assert (tally.uploads.count, tally.commits.count, tally.uploaded_bytes) == (3, 1, 1200)


async def test_a_rounds_updates_follow_the_commit_of_the_round_before() -> None:
    target = Target()
    await run(target, [*round_of(0), *round_of(1)])
    assert before(target.calls, "end commit 0", "begin put 1 a")
    assert before(target.calls, "end commit 0", "begin put 1 b")


async def test_a_request_waits_for_the_commit_of_its_round_and_is_due_from_then() -> None:
    target = Target()
    target.gates["commit 0"] = asyncio.Event()
    running = asyncio.create_task(run(target, [*round_of(0), ask(0)]))
    await _until(lambda: "begin commit 0" in target.calls)
    assert "begin ask 0" not in target.calls
    target.gates["commit 0"].set()
    _, tally = await running
    assert before(target.calls, "end commit 0", "begin ask 0")
    assert (tally.asked, tally.answered, tally.postponed) == (1, 1, 1)


async def test_requests_do_not_wait_for_each_other_at_an_open_pace() -> None:
    target = Target()
    target.gates["ask 0"] = asyncio.Event()
    running = asyncio.create_task(run(target, [*round_of(0), *round_of(1), ask(0), ask(1)]))
    await _until(lambda: "end ask 1" in target.calls)
    target.gates["ask 0"].set()
    replay, tally = await running
    assert tally.answered == 2
    assert replay.late >= 1, "one was unanswered when the last event was sent"


async def test_at_a_serial_pace_each_event_waits_for_the_one_before() -> None:
    target = Target()
    await run(target, [*round_of(0), ask(0), ask(0)], Plan(pace=Pace.SERIAL))
    begins = [call for call in target.calls if call.startswith("begin")]
    ends = [call.replace("end", "begin") for call in target.calls if call.startswith("end")]
    order = [name for name in begins if "create" not in name]
    assert order == [name for name in ends if "create" not in name], "calls never overlap"


async def test_a_request_that_fails_is_counted_by_its_code() -> None:
    target = Target()
    target.failing["ask"] = Busy("later")
    _, tally = await run(target, [*round_of(0), ask(0)])
    assert (dict(tally.errors), tally.answered) == ({"busy": 1}, 0)


async def test_an_upload_that_fails_ends_the_run() -> None:
    target = Target()
    target.failing["put"] = Conflict("other bytes")
    with pytest.raises(Conflict, match="other bytes"):
        await run(target, [*round_of(0), ask(0)])


@pytest.mark.parametrize("pace", Pace)
async def test_a_failure_of_the_very_last_event_ends_the_run_too(pace: Pace) -> None:
    target = Target()
    target.failing["commit"] = Conflict("other metrics")
    with pytest.raises(Conflict, match="other metrics"):
        await run(target, round_of(0), Plan(speed=1e6, pace=pace))


async def test_too_many_failed_requests_end_the_run_and_say_which() -> None:
    target = Target()
    target.failing["ask"] = Busy("later")
    events: list[Event] = [*round_of(0), *(ask(0) for _ in range(LEAST_FOR_BUDGET))]
    with pytest.raises(BudgetSpentError, match=r"20 of 20 requests failed \(busy × 20\)"):
        await run(target, events, Plan(pace=Pace.SERIAL, error_budget=0.05))


async def test_few_requests_never_spend_the_budget() -> None:
    target = Target()
    target.failing["ask"] = Busy("later")
    _, tally = await run(target, [*round_of(0), *(ask(0) for _ in range(LEAST_FOR_BUDGET - 1))], Plan(pace=Pace.SERIAL))
    assert tally.failed == LEAST_FOR_BUDGET - 1


async def test_requests_of_the_warm_up_are_asked_and_counted_nowhere_else() -> None:
    target = Target()
    _, tally = await run(target, [*round_of(0), ask(0)], Plan(speed=1e6, warm_up_s=3600.0))
    assert "end ask 0" in target.calls
    assert (tally.warming, tally.answered, tally.dollars) == (1, 0, 0.0)


async def test_jobs_do_not_wait_for_each_other() -> None:
    target = Target()
    target.gates["create j"] = asyncio.Event()
    other: list[Event] = [Update(0.0, "k", 0, "c", 400), Commit(0.0, "k", 0, 400)]
    running = asyncio.create_task(run(target, [*round_of(0), *other]))
    await _until(lambda: "end put 0 c" in target.calls)
    assert "begin put 0 a" not in target.calls
    target.gates["create j"].set()
    await running


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speed": 0.0}, "speed is 0.0; use a number above 0"),
        ({"speed": float("inf")}, "speed is inf"),
        ({"error_budget": 1.5}, "error_budget is 1.5; use 0 to 1"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidParameters, match=message):
        Plan(**settings)  # type: ignore[arg-type]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0)
