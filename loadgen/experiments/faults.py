"""Faults: latency and errors of requests while shards are killed, with one to three copies of each slice."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from flstore_core.client import AsyncFLStore
from loadgen.experiments.base import Cell, Measured, Outcome, Report, whole
from loadgen.experiments.history import History
from loadgen.experiments.tables import averaged, table, varied
from loadgen.pictures.base import LATENCY_AXES, Picture
from loadgen.run.events import Event
from loadgen.run.runner import Plan
from loadgen.run.session import Session
from loadgen.systems.deployments import flstore_in

SHARDS, SLICES = 3, 3
RATE, SECONDS = 2.0, 25.0
ZIPF = 1.6
"""Exponent of the lifetimes' distribution."""
UNIT_S, LONGEST = 1.0, 15
"""Lifetimes are multiples of the unit, up to the longest."""
HISTORY = History(4 * 2**20, rounds=2, clients=4)


class Faults:
    """Kills every shard after a random lifetime, again and again."""

    name = "faults"
    title = "Shards killed at random, by copies of each slice"

    def measure(self, cell: Cell) -> Measured:
        history = replace(HISTORY, settings={"slices": SLICES, "replicas": cell.values["replicas"]})
        with (
            tempfile.TemporaryDirectory(prefix="flstore-faults-") as folder,
            flstore_in(folder, SHARDS, "128MiB") as url,
        ):
            history.woken(url).store(url)
            result, kills = asyncio.run(_under_fire(url, history, cell.seed))
        row = result["requests"]["overall"]
        errors = sum(result["errors"].values())
        kept = {name: row[name] for name in ("mean_ms", "p50_ms", "p99_ms", "max_ms")}
        return {
            **kept,
            "kills": kills,
            "asked": result["asked"],
            "errors": errors,
            "curve": result["curves"]["overall"],
        }

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        names = ("kills", "asked", "errors", "mean_ms", "p50_ms", "p99_ms", "max_ms")
        copies = varied(outcomes, "replicas")
        rows = [[f"R = {count}", *(averaged(outcomes, name, replicas=count) for name in names)] for count in copies]
        text = table(["", *(name.replace("_", " ") for name in names)], rows)
        # One curve for each number of copies, that of the first seed: of equal keys the last one stays, so in reverse.
        first = {each.values["replicas"]: each.measured["curve"] for each in reversed(outcomes)}
        curves = {f"R = {count}": first[count] for count in copies}
        return Report(text + "\n![Latencies](faults.svg)\n", {"faults": Picture(self.title, curves, *LATENCY_AXES)})


async def _under_fire(url: str, history: History, seed: int) -> tuple[dict[str, Any], int]:
    """Return the results of a steady load, and the number of kills meanwhile."""
    rng = np.random.default_rng(seed)
    killed: list[int] = []
    killers = [asyncio.create_task(_kill_again(url, index, rng, killed)) for index in range(SHARDS)]
    try:
        result = await Session(url, Plan(error_budget=1.0)).run(_steady(history))
    finally:
        for killer in killers:
            killer.cancel()
        await asyncio.gather(*killers, return_exceptions=True)
    return whole(result), len(killed)


async def _kill_again(url: str, index: int, rng: np.random.Generator, killed: list[int]) -> None:
    async with AsyncFLStore(url) as client:
        while True:
            await asyncio.sleep(UNIT_S * min(int(rng.zipf(ZIPF)), LONGEST))
            shards = [each for each in (await client.cache())["shards"] if each["shard"].startswith("shard")]
            if pid := shards[index]["pid"]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)


def _steady(history: History) -> Iterator[Event]:
    ask = history.ask("norms")
    return (replace(ask, t=index / RATE) for index in range(int(RATE * SECONDS)))
