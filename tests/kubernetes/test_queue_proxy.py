"""Queue-proxy's and the activator's habits change no answer: a gateway's calls, through them, to real shards."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from flstore_core import layout
from flstore_core.records import Job, to_bytes
from flstore_core.shard.protocol import MemberRef, StatisticsRequest
from flstore_core.statistics import RoundStatistics
from flstore_core.storage.directory import DirectoryStore
from services.common.timing import RealTime
from services.gateway.backends.calls import Calls
from services.gateway.backends.shards import Shards
from tests.kubernetes.clock import Clock
from tests.kubernetes.queue_proxy import DRAIN_S, QueueProxy, queue_proxy
from tests.shard.test_engine import JOB, SCHEMA, expect, part, ref, update, write
from tests.waiting import soon

SEEDS = [1, 2, 3]


@dataclass
class Way:
    """A gateway's way to one shard."""

    url: str
    proxy: QueueProxy
    clock: Clock
    store: DirectoryStore
    shards: Shards

    async def put(self, seed: int) -> MemberRef:
        """Store an update and hand it to the shard, as ingest does."""
        member = write(self.store, seed)
        data = memoryview(update(seed))[member.data_offset :]
        pieces = [data[run.offset : run.offset + run.nbytes] for run in SCHEMA.runs(*part().bounds(SCHEMA))]
        await asyncio.to_thread(self.shards.put_slice, [self.url], part(), member, None, pieces)
        return member

    async def statistics(self) -> RoundStatistics:
        request = StatisticsRequest(part(), tuple(ref(seed) for seed in SEEDS), None)
        found, _ = await asyncio.to_thread(self.shards.statistics, [self.url], request)
        return found


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    clock, store = Clock(), DirectoryStore(tmp_path)
    store.put(layout.job(JOB), to_bytes(Job(JOB, SCHEMA).to_json()))
    calls = Calls(20.0, RealTime())
    shards = Shards(calls)
    async with queue_proxy(tmp_path, clock) as (url, proxy):
        yield Way(url, proxy, clock, store, shards)
        await asyncio.to_thread(calls.close)


async def test_a_request_to_a_shard_at_zero_is_held_and_answered(way: Way) -> None:
    for seed in SEEDS:
        write(way.store, seed)
    asking = asyncio.create_task(way.statistics())
    await soon(lambda: way.proxy.held == 1)
    assert not asking.done()
    await way.proxy.start_pod()
    expect(await asking, SEEDS)


async def test_a_request_that_is_run_again_after_a_timeout_counts_once(way: Way) -> None:
    await way.proxy.start_pod()
    for seed in SEEDS:
        way.proxy.answers_to_lose = 1
        await way.put(seed)
    way.proxy.answers_to_lose = 1
    expect(await way.statistics(), SEEDS)
    assert way.proxy.answers_to_lose == 0


async def test_while_two_pods_overlap_each_answers_the_same(way: Way) -> None:
    old = await way.proxy.start_pod()
    await way.put(1)
    draining = asyncio.create_task(way.proxy.drain(old))
    new = await way.proxy.start_pod()
    await soon(lambda: old.draining)
    await way.put(2)
    await way.put(3)
    from_new = await way.statistics()
    new.draining, old.draining = True, False
    from_old = await way.statistics()
    expect(from_new, SEEDS)
    np.testing.assert_allclose(from_old.gram, from_new.gram, rtol=1e-9)
    await way.clock.pass_(DRAIN_S + 1.0)
    await draining


async def test_a_pod_answers_through_its_drain_and_what_it_held_is_not_lost(way: Way) -> None:
    pod = await way.proxy.start_pod()
    for seed in SEEDS:
        await way.put(seed)
    draining = asyncio.create_task(way.proxy.drain(pod))
    await way.clock.pass_(DRAIN_S - 1.0)
    expect(await way.statistics(), SEEDS)
    assert not draining.done(), "the process learns of it only after the drain"
    await way.clock.pass_(2.0)
    await draining
    asking = asyncio.create_task(way.statistics())
    await soon(lambda: way.proxy.held == 1)
    await way.proxy.start_pod()
    expect(await asking, SEEDS)
