"""Overview, job, caches and cost, over a gateway in this process."""

import pytest
from fastapi import FastAPI
from nicegui import ui

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.errors import NotFound
from flstore_core.placement.base import Table
from services.console.views import caches as caches_view
from services.console.views import job as job_view
from services.gateway.app import create_app
from tests.console.browsing import browsing, sees, to
from tests.gateway.routes.conftest import client_of
from tests.gateway.world import NAME, World, world


def empty() -> FastAPI:
    return create_app(world().state)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "No jobs yet"),
        ("/", "Nothing was asked yet"),
        ("/", "Nothing happened since the gateway was started"),
        ("/cost", "Nothing has cost anything yet"),
        ("/caches", "No job has a place yet"),
        ("/jobs/none", "This is not there (any more)"),
    ],
)
async def test_an_empty_system_says_what_to_do(path: str, words: str) -> None:
    async with browsing(to(empty())) as user:
        await user.open(path)
        await sees(user, words)


async def test_the_overview_shows_jobs_open_rounds_and_memory(app: FastAPI) -> None:
    async with browsing(to(app)) as user:
        await user.open("/")
        for words in (
            "2 rounds, 4 clients",
            "loss 0.5",
            "shard-0",
            "awake",
            ": 2 of about 4 updates",
            "The gateway holds",
        ):
            await sees(user, words)
        assert len(user.find(ui.echart).elements) == 2


async def test_an_open_round_fills_while_somebody_looks(app: FastAPI, gateway: World) -> None:
    async with browsing(to(app)) as user:
        await user.open("/")
        await sees(user, ": 2 of about 4 updates")
        gateway.put(2, "late", 7, num_examples=3)
        for timer in user.find(ui.timer).elements:
            await timer.callback()  # type: ignore[misc]
        await sees(user, ": 3 of about 4 updates")


async def test_looking_starts_no_shard_that_is_at_zero(
    app: FastAPI, gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.controller.states = {"shard-0": "zero", "shard-1": "zero"}
    asked: list[str] = []
    monkeypatch.setattr(type(gateway.shards), "_answer", lambda _, sent, path: asked.append(sent.url))
    async with browsing(to(app)) as user:
        for path in ("/", f"/jobs/{NAME}", f"/jobs/{NAME}?by=loss", f"/caches?job={NAME}&round=0&client=c0", "/cost"):
            await user.open(path)
            await user.should_not_see("Waiting for the gateway")
    assert asked == []


async def test_what_happened_and_what_was_saved_is_told(app: FastAPI, gateway: World) -> None:
    async with client_of(gateway) as http:
        await http.post(f"/v1/jobs/{NAME}/workloads/malicious-filter", json={"round": 0, "norm_threshold": 0.1})
        await http.post(f"/v1/jobs/{NAME}/rounds/2/commit", json={})
    gateway.controller.starts["shard-1"] = [{"at": 5.0, "reason": "idle", "seconds": 0.4, "cause": "request"}]
    async with browsing(to(app)) as user:
        await user.open("/")
        for words in ("accused", "was committed", "shard-1 woke in 0.4 s; it had ended: idle", "% less"):
            await sees(user, words)
        await user.open("/cost")
        for words in ("malicious-filter", "commits", "the same at an object store"):
            await sees(user, words)
        await user.open(f"/cost?job={NAME}")
        await sees(user, f"Of {NAME} alone.")


async def test_a_job_shows_its_metrics_rounds_and_tensors(app: FastAPI) -> None:
    async with browsing(to(app)) as user:
        await user.open(f"/jobs/{NAME}")
        for words in (
            "2 committed, 1 open",
            "loss of the rounds: 0.5",
            "loss of the clients",
            "4 of 4 clients",
            "weight",
            "2 × 2",
        ):
            await sees(user, words)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("loss", "Colour: mean loss."),
        ("accusation", "Accused at least once: "),
        ("contribution", "contribution to the round's step; the newest 2 rounds"),
        ("nothing", "Nothing to draw"),
    ],
)
async def test_the_map_of_participations_has_the_colours_that_were_chosen(app: FastAPI, by: str, words: str) -> None:
    async with browsing(to(app)) as user:
        await user.open(f"/jobs/{NAME}?by={by}")
        await sees(user, words)


def test_a_map_has_a_cell_where_a_client_took_part() -> None:
    page = {
        "clients": ["a", "b"],
        "rounds": [0, 2],
        "per_column": 2,
        "participations": [3, 1],
        "counts": [[2, 1], [0, 1]],
        "metric": None,
        "values": None,
        "next": None,
        "total": 2,
    }
    assert job_view.mapped(page).cells == [(0, 0, 1.0), (1, 0, 0.5), (1, 1, 0.5)]
    by_loss = job_view.mapped({**page, "metric": "loss", "values": [[0.3, None], [None, 0.7]]})
    assert (by_loss.cells, by_loss.low, by_loss.high) == ([(0, 0, 0.3), (1, 1, 0.7)], 0.3, 0.7)


async def test_a_job_without_rounds_says_how_to_begin() -> None:
    gateway = world()
    gateway.create()
    async with browsing(to(create_app(gateway.state))) as user:
        await user.open(f"/jobs/{NAME}")
        await sees(user, "No rounds yet")


async def test_caches_show_slices_rivals_and_why(app: FastAPI) -> None:
    async with browsing(to(app)) as user:
        await user.open(f"/caches?job={NAME}&round=0&client=c0&slice=1")
        for words in ("shard-1", "Slices on shards", "slices 1", "in memory", "pinned"):
            await sees(user, words)
        await user.open(f"/caches?job={NAME}&round=no&client=c0")
        await sees(user, "round and slice are whole numbers")


async def test_shards_that_are_at_zero_have_no_hits_to_compare(app: FastAPI, gateway: World) -> None:
    gateway.controller.states = {"shard-0": "zero", "shard-1": "zero"}
    async with browsing(to(app)) as user:
        await user.open("/caches")
        await sees(user, "No shard is awake")


async def test_further_jobs_than_are_drawn_are_in_a_table(monkeypatch: pytest.MonkeyPatch, app: FastAPI) -> None:
    monkeypatch.setattr("services.console.views.overview.DRAWN", 0)
    async with browsing(to(app)) as user:
        await user.open("/")
        await sees(user, "Further jobs")
        await sees(user, "and 1 open round more")


# Parts of views, drawn of what a gateway might answer.


def counted_hits(requests: int, hits: int) -> dict[str, int]:
    return {"requests": requests, "hits": hits, "evictions": 3}


async def test_hits_stand_beside_those_of_other_policies_and_evictions_beside_their_reasons() -> None:
    shadows = {"lru": {"P2": counted_hits(10, 2)}}
    shard = {"policy": "tailored", "overall": counted_hits(10, 9), "shadows": shadows, "eviction_reasons": {"old": 7}}
    async with browsing() as user:
        with await user.open("/login"):
            caches_view.draw_rivals([shard])
            caches_view.draw_evictions([shard])
            caches_view.draw_rivals([{**shard, "overall": counted_hits(0, 0), "shadows": {}}])
        for words in ("tailored (in use)", "90.0 %", "20.0 %", "old", "No requests yet"):
            await sees(user, words)


async def test_a_system_without_shards_says_who_makes_them(app: FastAPI, gateway: World) -> None:
    gateway.controller.table = Table(9, {}, gateway.controller.table.jobs, {})
    gateway.state.backends.placement.wait_for_news()
    async with browsing(to(app)) as user:
        await user.open("/caches")
        await sees(user, "No shards yet")


async def test_metrics_that_are_not_drawn_are_named(app: FastAPI) -> None:
    spread = {part: [1.0] for part in ("p10", "p50", "p90")}
    overview = {"rounds": [0], "per_point": 3, "round_metrics": {}, "metrics": {f"m{i}": spread for i in range(8)}}
    async with browsing(to(app)) as user:
        with await user.open("/login"):
            job_view.draw_metrics(overview)
            job_view.draw_metrics({**overview, "metrics": {}})
        for words in ("A point stands for 3 rounds.", "Not drawn: m6, m7.", "No metrics"):
            await sees(user, words)


async def test_a_map_of_many_clients_comes_in_pages(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_view, "ROWS", 3)
    async with browsing(to(app)) as user:
        await user.open(f"/jobs/{NAME}?by=loss")
        await sees(user, "3 of 4 clients")
        await sees(user, "Next clients")
        await user.open(f"/jobs/{NAME}?by=loss&after=c2")
        await sees(user, "1 of 4 clients")


async def test_rounds_that_cannot_be_judged_stay_empty(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: AsyncFLStore, *_: object, **__: object) -> None:
        raise NotFound("no statistics")

    async with browsing(to(app)) as user:
        monkeypatch.setattr(AsyncFLStore, "run", refuse)
        await user.open(f"/jobs/{NAME}?by=accusation")
        await sees(user, "Nothing to draw")


async def test_a_job_that_is_deleted_while_the_overview_is_made_is_left_out(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(self: AsyncFLStore, *_: object, **__: object) -> None:
        raise NotFound("deleted")

    for call in ("metrics", "round"):
        monkeypatch.setattr(AsyncFLStore, call, gone)
    async with browsing(to(app)) as user:
        await user.open("/")
        await sees(user, "2 rounds, 4 clients")


async def test_days_without_questions_have_no_picture(app: FastAPI, gateway: World) -> None:
    async with client_of(gateway) as http:
        await http.post(f"/v1/jobs/{NAME}/rounds/2/commit", json={})
    async with browsing(to(app)) as user:
        await user.open("/cost")
        await sees(user, "commits")
        assert user.client is not None
        assert not [each for each in user.client.elements.values() if isinstance(each, ui.echart)]
