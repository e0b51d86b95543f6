"""A client whose gateway is behind an ingress that answers in its place now and then."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from flstore_core.client import AsyncFLStore, FLStore, async_client, sync_client
from flstore_core.errors import FLStoreError, NotFound, Unavailable
from services.gateway.app import create_app
from tests.gateway.world import world
from tests.ingress import PLAYED, Ingress, forward_to, ingress
from tests.serving import served

ARRAYS = {"weight": np.ones((2, 2), np.float32), "bias": np.zeros(2, np.float32), "steps": np.array(3)}


@pytest.fixture(scope="module")
def front() -> Iterator[Ingress]:
    """An ingress in front of a whole gateway."""
    with served(create_app(world().state)) as url, ingress() as playing:
        playing.hand_on = forward_to(url)
        yield playing


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(seconds: float) -> None:
        pass

    monkeypatch.setattr(sync_client, "time", SimpleNamespace(sleep=lambda seconds: None))
    running = {name: getattr(asyncio, name) for name in ("AbstractEventLoop", "get_running_loop", "to_thread")}
    monkeypatch.setattr(async_client, "asyncio", SimpleNamespace(sleep=at_once, **running))


@pytest.mark.parametrize("says", PLAYED.values(), ids=PLAYED)
def test_every_call_succeeds_though_the_ingress_answers_first(front: Ingress, says: bytes) -> None:
    front.play(says, times=2)
    with FLStore(front.url) as client:
        client.create_job("job", like=ARRAYS)
        client.put_update("job", 0, "a", ARRAYS)
        client.put_update("job", 0, "b", ARRAYS)
        client.drop_update("job", 0, "b")
        assert [member.client for member in client.commit("job", 0).members] == ["a"]
        assert client.get_update("job", 0, "a")["weight"].tolist() == [[1.0, 1.0], [1.0, 1.0]]
        assert client.run("job", "cosine-similarity", round=0).result["clients"] == ["a"]
        client.delete_job("job")
    front.play(says, times=0)
    with FLStore(front.url) as client, pytest.raises(NotFound, match="job"):
        client.job("job")


@pytest.mark.parametrize("says", PLAYED.values(), ids=PLAYED)
async def test_asyncio_s_client_is_no_other(front: Ingress, says: bytes) -> None:
    front.play(says)
    async with AsyncFLStore(front.url) as client:
        await client.create_job("job", like=ARRAYS)
        await client.put_update("job", 0, "a", ARRAYS)
        assert (await client.get_update("job", 0, "a"))["bias"].tolist() == [0.0, 0.0]
        await client.delete_job("job")


@pytest.mark.parametrize("name", ["page not found", "page of its own", "permanent redirect", "half a document"])
def test_where_no_gateway_ever_answers_the_error_says_what_did(front: Ingress, name: str) -> None:
    front.play(PLAYED[name], times=10**6)
    with FLStore(front.url, retries=2) as client, pytest.raises(Unavailable, match="the server answered") as caught:
        client.delete_job("job")
    assert caught.value.extensions["attempts"] == 3


@pytest.mark.parametrize(("status", "code"), [("401 Unauthorized", "unauthorized"), ("413 Too Large", "too-large")])
def test_what_an_ingress_decides_by_its_own_rules_is_final(front: Ingress, status: str, code: str) -> None:
    front.play(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode(), times=10**6)
    with FLStore(front.url) as client, pytest.raises(FLStoreError) as caught:
        client.jobs()
    assert (caught.value.code, caught.value.extensions["attempts"]) == (code, 1)
