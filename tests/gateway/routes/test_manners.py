"""What browsers, curl and reverse proxies expect of any server."""

import asyncio
import json
import re

import httpx
import pytest
import uvicorn

from flstore_core.errors import InvalidParameters
from services.gateway.app import create_app
from services.gateway.settings import Settings
from tests.gateway.routes.conftest import client_of
from tests.gateway.world import NAME, TENSORS, World, body, world
from tests.running.jobs import problem

JOB = f"/v1/jobs/{NAME}"


@pytest.fixture
def filled(gateway: World) -> World:
    gateway.create()
    gateway.fill(0, 2)
    gateway.commit(0)
    return gateway


# HEAD.


GETS = ["/", "/docs", "/openapi.json", "/healthz", "/metrics", "/v1/jobs", JOB, f"{JOB}/rounds", f"{JOB}/rounds/0"]
GETS += [f"{JOB}/rounds/0/clients/c0", f"{JOB}/nothing", "/v1/jobs/unknown", f"{JOB}/rounds/0/clients/nobody"]


@pytest.mark.parametrize("path", GETS)
async def test_head_says_what_get_would_without_the_body(path: str, http: httpx.AsyncClient, filled: World) -> None:
    got, head = await http.get(path), await http.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    ours = {"x-request-id", "content-length"} if path == "/metrics" else {"x-request-id"}
    assert {name: text for name, text in head.headers.items() if name not in ours} == {
        name: text for name, text in got.headers.items() if name not in ours
    }


async def test_head_reads_no_model_and_honours_ranges(http: httpx.AsyncClient, filled: World) -> None:
    path, length = f"{JOB}/rounds/0/clients/c0", str(len(body(1)))
    calls: list[str] = []
    filled.store.before = lambda call: calls.append(call.method)
    head = await http.head(path)
    assert (head.status_code, head.headers["content-length"]) == (200, length)
    part = await http.head(path, headers={"range": "bytes=0-9"})
    assert (part.status_code, part.headers["content-range"]) == (206, f"bytes 0-9/{length}")
    assert "stream" not in calls
    await http.get(path)
    assert "stream" in calls


async def test_head_of_a_route_without_get_is_not_allowed(http: httpx.AsyncClient, filled: World) -> None:
    problem(await http.get(f"{JOB}/rounds/0/commit"), 405, "method-not-allowed")
    assert (await http.head(f"{JOB}/rounds/0/commit")).status_code == 405


async def test_a_real_server_sends_the_length_and_no_body(filled: World) -> None:
    config = uvicorn.Config(create_app(filled.state), port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path in (f"{JOB}/rounds/0/clients/c0", "/healthz", "/docs"):  # on one connection: a stray byte breaks the next
        writer.write(f"HEAD {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 200 ok")
        assert int(re.search(r"content-length: (\d+)", head)[1]) > 0  # type: ignore[index]
    writer.close()
    server.should_exit = True
    await serving


# Pages.


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
@pytest.mark.parametrize("prefix", ["", "/fl", "/team/fl"])
async def test_pages_need_nothing_from_elsewhere(page: str, prefix: str, http: httpx.AsyncClient) -> None:
    html = (await http.get(page, headers={"x-forwarded-prefix": prefix})).text
    addresses = re.findall(r"""(?:src|href|spec-url)=["']([^"']+)|url: '([^']+)""", html)
    named = [either or other for either, other in addresses]
    assert f"{prefix}/openapi.json" in named
    assert len(named) >= 3
    for address in named:
        assert address.startswith(f"{prefix}/")
        answer = await http.get(address.removeprefix(prefix))
        assert (answer.status_code, bool(answer.content)) == (200, True)


async def test_the_root_leads_a_browser_to_the_pages_and_tells_a_program(http: httpx.AsyncClient) -> None:
    answer = await http.get("/", headers={"accept": "text/html,*/*", "x-forwarded-prefix": "/fl/"})
    assert (answer.status_code, answer.headers["location"]) == (307, "/fl/docs")
    assert (await http.get("/")).json()["docs"] == "/docs"


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("https://fl.example.org/console/", "https://fl.example.org/console/"),
        ("/console", "/console/"),
        (":8090", "http://gateway:8090/"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/ui"])
async def test_the_root_leads_a_browser_to_the_console_where_there_is_one(path: str, setting: str, found: str) -> None:
    settings = Settings.from_env({"FLSTORE_CONSOLE_URL": setting})
    async with client_of(world(console_url=settings.console_url)) as http:
        answer = await http.get(path, headers={"accept": "text/html,*/*"})
        assert (answer.status_code, answer.headers["location"]) == (307, found)
        assert (await http.get(path)).json()["docs"] == "/docs"


@pytest.mark.parametrize("setting", ["//evil.example", "console", "javascript:alert(1)", ":port"])
def test_an_address_of_a_console_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(InvalidParameters, match="FLSTORE_CONSOLE_URL"):
        Settings.from_env({"FLSTORE_CONSOLE_URL": setting})


# Behind a proxy.


async def test_a_prefix_is_part_of_every_address_in_an_answer(http: httpx.AsyncClient, filled: World) -> None:
    behind = {"x-forwarded-prefix": "/v1"}  # the beginning of a path of ours, too
    started = await http.post(f"{JOB}/workloads/metrics", headers={"prefer": "respond-async", **behind})
    location = started.headers["location"]
    assert re.fullmatch(r"/v1/v1/operations/\w+", location)
    assert (await http.get(location.removeprefix("/v1"), headers=behind)).status_code == 200
    assert (await http.get("/openapi.json", headers=behind)).json()["servers"] == [{"url": "/v1"}]
    assert "servers" not in (await http.get("/openapi.json")).json()
    assert problem(await http.get("/v1/jobs/no", headers=behind), 404, "not-found")["instance"] == "/v1/v1/jobs/no"


@pytest.mark.parametrize("path", ["/docs", "/fl/docs"])
async def test_a_prefix_may_be_a_setting_whether_the_proxy_takes_it_off_or_not(path: str) -> None:
    async with client_of(world(root_path="/fl")) as http:
        answer = await http.get(path)
        assert (answer.status_code, "'/fl/openapi.json'" in answer.text) == (200, True)


@pytest.mark.parametrize(("path", "status"), [("/fl", 200), ("/fl/", 200), ("/", 200), ("/flat", 404), ("/fl/fl", 404)])
async def test_the_prefix_alone_is_the_root_whoever_leaves_the_slash_out(path: str, status: int) -> None:
    async with client_of(world(root_path="/fl")) as http:
        answer = await http.get(path)
        assert answer.status_code == status
        assert answer.json().get("docs") == ("/fl/docs" if status == 200 else None)


@pytest.mark.parametrize("prefix", ["//evil.example", "https://evil.example", "/a'><script>", "fl", "/a/../b?c", "/"])
async def test_a_prefix_that_is_no_path_is_ignored(prefix: str, http: httpx.AsyncClient) -> None:
    answer = await http.get("/", headers={"accept": "text/html", "x-forwarded-prefix": prefix})
    assert answer.headers["location"] == "/docs"


# Bodies of JSON.


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded", "text/plain", "application/json"])
async def test_a_body_is_json_whatever_its_content_type_says(content_type: str | None, http: httpx.AsyncClient) -> None:
    headers = {"content-type": content_type} if content_type else {}
    created = await http.put(JOB, content=json.dumps({"schema": TENSORS}), headers=headers)
    assert (created.status_code, created.json()["job"]) == (201, NAME)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe{}", b"[" * 100_000, b'{"schema": 1%s}' % (b"0" * 5000), b"{", b"", b'"\xed\xa0\x80"']
)
async def test_a_body_that_is_no_json_is_told_so(content: bytes, http: httpx.AsyncClient) -> None:
    answer = problem(await http.put(JOB, content=content), 422, "invalid-parameters")
    assert "body" in answer["detail"]


async def test_a_cache_asks_again_before_it_uses_a_copy(http: httpx.AsyncClient, filled: World) -> None:
    path = f"{JOB}/rounds/0/clients/c0"
    got = await http.get(path)
    assert got.headers["cache-control"] == "private, no-cache"
    again = {"if-none-match": got.headers["etag"]}
    assert (await http.get(path, headers=again)).status_code == 304
    await http.delete(f"{JOB}/clients/c0")
    assert (await http.get(path, headers=again)).status_code == 404
