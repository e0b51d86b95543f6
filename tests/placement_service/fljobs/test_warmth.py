"""Awake shards are asked directly what they hold; what does not answer is left out."""

from typing import Any

import httpx
import pytest
from aiohttp import web

from flstore_core.ids import ShardId
from services.placement.fljobs.warmth import FRESH_S, Warmth, measure_hot
from services.placement.runtime import BackendState, Phase
from tests.kubernetes.apiserver import serving
from tests.kubernetes.clock import Clock
from tests.kubernetes.world import MIB, job

Json = dict[str, Any]


def inventory(objects: int, hits: int, requests: int) -> Json:
    tally = {"hits": hits, "requests": requests}
    return {"jobs": {"job": {"objects": objects}}, "P1": tally, "P2": {"hits": 0, "requests": 0}}


def state(index: int, phase: Phase, direct: str | None) -> BackendState:
    return BackendState(ShardId(f"shard-{index}"), phase, "http://asleep.invalid", direct_url=direct)


async def test_only_awake_shards_are_asked_and_only_by_their_own_address() -> None:
    calls = 0

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        return web.json_response(inventory(1, 1, 1))

    clock = Clock()
    async with serving(answer) as url, httpx.AsyncClient() as client:
        warmth = Warmth(client, clock)
        shards = [state(0, Phase.AWAKE, url), state(1, Phase.ZERO, None), state(2, Phase.STARTING, url)]
        assert (await warmth.fetch(shards)).keys() == {"shard-0"}
        await warmth.fetch(shards)
        assert calls == 1, "an answer of a moment ago is used again"
        await clock.pass_(FRESH_S)
        await warmth.fetch(shards)
        assert calls == 2


@pytest.mark.parametrize("trouble", ["status", "text"])
async def test_a_shard_that_does_not_answer_is_left_out(trouble: str) -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=500) if trouble == "status" else web.Response(text="no JSON")

    async with serving(answer) as url, httpx.AsyncClient() as client:
        assert await Warmth(client, Clock()).fetch([state(0, Phase.AWAKE, url)]) == {}


def test_bytes_and_hits_add_up_over_shards() -> None:
    hot = measure_hot(job("job"), 2, [inventory(3, 8, 10), inventory(1, 0, 30)])
    assert hot.nbytes == 4 * MIB // 2, "an object of one of two slices is half an update"
    assert hot.hit_rate == 8 / 40


def test_while_nobody_asked_there_is_no_hit_rate() -> None:
    assert measure_hot(job("job"), 1, [inventory(0, 0, 0)]).hit_rate is None
    assert measure_hot(job("job"), 1, []).nbytes == 0
