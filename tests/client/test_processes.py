"""Clients in several processes and event loops: each opens its own connections; what travels is the address."""

import asyncio
import copy
import pickle
import subprocess
import sys
from typing import Any

import pytest
import urllib3

from flstore_core import forks
from flstore_core.client import Answer, AsyncFLStore, Fields, FLStore, Receipt
from flstore_core.errors import Conflict, InvalidParameters
from flstore_core.outbound import open_pools
from tests.client.scripted import Script
from tests.client.test_api import ANSWER

FORKED = """
import os, sys
from flstore_core.client import FLStore
client = FLStore(sys.argv[1])
client.jobs()
for _ in range(2):
    if not (child := os.fork()):
        client.jobs()
        os._exit(0)
    os.waitpid(child, 0)
client.jobs()
"""

FORKED_LOOPS = """
import asyncio, os, sys
from flstore_core.client import AsyncFLStore
client = AsyncFLStore(sys.argv[1])

async def ask():
    await client.jobs()

with asyncio.Runner() as loop:
    loop.run(ask())
    if not (child := os.fork()):
        asyncio.run(ask())
        os._exit(0)
    os.waitpid(child, 0)
    loop.run(ask())
"""


@pytest.mark.parametrize(("program", "children"), [(FORKED, 2), (FORKED_LOOPS, 1)])
def test_a_forked_process_opens_a_connection_of_its_own_and_its_parent_goes_on(
    script: Script, program: str, children: int
) -> None:
    script.reply({"jobs": []})
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, script.url], check=True, timeout=60)
    assert len(script.seen) == children + 2
    parent, *forked, parent_again = [seen.port for seen in script.seen]
    assert len({parent, *forked}) == 1 + children
    assert parent_again not in forked


@pytest.mark.parametrize("proxy", ["", "http://user:secret@127.0.0.1:9"])
def test_pools_begin_anew_after_a_fork_and_keep_what_they_know(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    pools = open_pools("http://store.example", maxsize=3, retries=False)
    pool = pools.connection_from_url("http://store.example")
    assert pools.connection_from_url("http://store.example") is pool
    forks._begin_anew()
    another = pools.connection_from_url("http://store.example")
    assert another is not pool
    assert another.pool is not pool.pool
    assert isinstance(pools, urllib3.ProxyManager) == bool(proxy)


def test_one_asyncio_client_serves_several_event_loops(script: Script) -> None:
    script.reply({"jobs": []})
    client = AsyncFLStore(script.url)

    async def ask() -> int:
        await client.jobs()
        await client.close()
        await client.close()
        return len(client._http)

    assert [asyncio.run(ask()), asyncio.run(ask())] == [0, 0]


async def test_connections_of_a_loop_that_has_ended_are_forgotten(script: Script) -> None:
    script.reply({"jobs": []})
    client = AsyncFLStore(script.url)
    ended = asyncio.new_event_loop()
    client._http[ended] = client._pools()
    ended.close()
    del client._http[asyncio.get_running_loop()]
    await client.jobs()
    assert list(client._http) == [asyncio.get_running_loop()]
    await client.close()


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copied_client_reaches_the_same_store_with_the_same_token(script: Script, travel: Any) -> None:
    script.reply({"jobs": []})
    client = FLStore(script.url, "secret", timeout=7.0, retries=0)
    client.jobs()
    with travel(client) as copied:
        assert copied.jobs() == []
        assert copied._endpoint == client._endpoint
    assert client.jobs() == []
    assert [seen.headers["authorization"] for seen in script.seen] == ["Bearer secret"] * 3
    assert script.seen[1].port != script.seen[0].port == script.seen[2].port


async def test_a_copied_asyncio_client_reaches_the_same_store(script: Script) -> None:
    script.reply({"jobs": []})
    async with AsyncFLStore(script.url) as client:
        await client.jobs()
        async with pickle.loads(pickle.dumps(client)) as copied:
            assert await copied.jobs() == []


@pytest.mark.parametrize(
    "value",
    [
        Fields({"rows": [{"a": 1}]}),
        Answer.from_json(ANSWER),
        Receipt("j", 1, "c", "00", 4),
        Conflict("it is taken", client="c"),
        InvalidParameters("no"),
    ],
)
def test_what_calls_return_or_raise_travels_back(value: Any) -> None:
    for back in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)):
        assert type(back) is type(value)
        assert vars(back) == vars(value) if isinstance(value, Exception) else back == value
