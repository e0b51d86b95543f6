"""How long a process took to come up: stages noted once, and an age that the kernel tells."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from flstore_core.errors import StoreUnavailable
from services.common import startup
from services.common.startup import AGE_HEADER, PROCESS, STORE, Startup, TellAge, age_s, open_early
from tests.fakes.store import Call, MemoryStore


def stages(part: Startup) -> dict[str, float]:
    (family,) = part.collect()
    assert family.name == "flstore_shard_start_seconds"
    assert all(sample.labels["shard"] == "s" for sample in family.samples)
    return {sample.labels["stage"]: sample.value for sample in family.samples}


def test_a_stage_is_noted_when_it_is_first_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Startup("s")
    assert stages(part) == {}
    for age, stage in ((0.4, PROCESS), (0.7, STORE), (9.0, PROCESS)):
        monkeypatch.setattr(startup, "age_s", lambda age=age: age)
        part.reached(stage)
    assert stages(part) == {"process": 0.4, "store": 0.7}


def test_the_age_of_a_process_counts_its_whole_life() -> None:
    program = "import time; time.sleep(0.3); from services.common.startup import age_s; print(age_s())"
    began = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0.28 < float(ran.stdout) < time.monotonic() - began + 0.02


def test_without_proc_the_age_counts_from_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, *args: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert age_s() == pytest.approx(time.monotonic() - startup._IMPORTED, abs=0.05)


async def test_a_store_that_answers_is_a_stage() -> None:
    part = Startup("s")
    await open_early(MemoryStore(), part)
    assert set(stages(part)) == {STORE}


async def test_a_store_that_does_not_answer_is_logged_and_no_stage(caplog: pytest.LogCaptureFixture) -> None:
    store, part = MemoryStore(), Startup("s")

    def away(call: Call) -> None:
        raise StoreUnavailable("nobody there")

    store.before = away
    await open_early(store, part)
    assert stages(part) == {}
    assert "the object store does not answer" in caplog.text


async def test_a_store_is_opened_without_anyone_keeping_the_time() -> None:
    asked: list[str] = []
    store = MemoryStore()
    store.before = lambda call: asked.append(call.method)
    await open_early(store)
    assert asked == ["probe"]


async def test_each_answer_says_how_old_the_process_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "age_s", lambda: 100.0)
    transport = httpx.ASGITransport(TellAge(PlainTextResponse("fine")))
    async with httpx.AsyncClient(transport=transport, base_url="http://shard") as client:
        first, second = [float((await client.get("/")).headers[AGE_HEADER]) for _ in range(2)]
    assert 100.0 <= first <= second
