"""Nobody is let in: every route of every service is asked by a stranger, and with proofs that are old or not its own.

The routes come from the apps' own tables, so a route that is added is asked as well.
"""

import json
import time
from collections.abc import Callable, Container, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Scope

from flstore_core.shard.protocol import MESSAGE_HEADER
from services.common.guard import OPEN_PATHS
from services.common.proof import PROOF_HEADER, Keys, new_key
from services.gateway.app import create_app as create_gateway
from services.placement.app import create_app as create_controller
from services.predictor.app import create_app as create_predictor
from services.predictor.settings import Settings as PredictorSettings
from services.predictor.state import create_state as create_predictor_state
from services.shard.app import create_app as create_shard
from services.shard.settings import Settings as ShardSettings
from services.shard.state import create_state as create_shard_state
from tests.fakes.store import MemoryStore
from tests.gateway.world import world

KEYS = Keys.parse(new_key())
OTHER = Keys.parse(new_key())
BODY = b'{"body": 1}'


def shard() -> Any:
    return create_shard(create_shard_state(ShardSettings(cache_bytes=1000), MemoryStore(), time.monotonic), KEYS)


def predictor() -> Any:
    settings = PredictorSettings(cache_bytes=1000)
    return create_predictor(create_predictor_state(settings, MemoryStore(), time.monotonic), KEYS)


def controller() -> Any:
    app = create_controller(lambda: pytest.fail("nobody is served"), KEYS)
    app.state.placement = SimpleNamespace(leadership=None)
    return app


SERVICES: dict[str, Callable[[], Any]] = {"shard": shard, "predictor": predictor, "controller": controller}


def calls(routes: Sequence[BaseRoute], open_paths: Container[str] = OPEN_PATHS) -> Iterator[tuple[str, str]]:
    """Yield method and path of each route that is not open, with something in place of each parameter."""
    for route in routes:
        if isinstance(router := getattr(route, "original_router", None), APIRouter):  # a router that FastAPI includes
            yield from calls(router.routes, open_paths)
            continue
        if isinstance(route, Mount) and isinstance(route.app, StaticFiles):
            continue  # the scripts and styles of the pages that describe the API
        assert isinstance(route, Route), f"{route} is no plain route; say here how a stranger would call it"
        if route.path not in open_paths:
            path = route.path.replace("{round}", "0").replace("{", "x-").replace("}", "")
            yield from ((method, path) for method in sorted(route.methods or ()))


CALLS = [(name, *call) for name, make in SERVICES.items() for call in calls(make().routes)]
each_call = pytest.mark.parametrize(("service", "method", "path"), CALLS)


def proof(method: str, target: str, body: bytes = BODY, keys: Keys = KEYS) -> dict[str, str]:
    return keys.sign(method, target, [body])


async def ask(service: str, method: str, path: str, proof_: dict[str, str], *, twice: bool = False) -> httpx.Response:
    """Return the (second) answer of a service. What it may do with a good proof is not the question here."""
    transport = httpx.ASGITransport(SERVICES[service](), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
        if twice:
            await http.request(method, path, content=BODY, headers=proof_)
        return await http.request(method, path, content=BODY, headers=proof_)


def assert_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 403, answer.text
    if answer.content:
        assert answer.json()["code"] == "proof-refused"


def test_every_service_has_routes_and_few_of_them_are_open() -> None:
    assert {name for name, *_ in CALLS} == set(SERVICES)
    assert {"/healthz", "/readyz", "/metrics"} == OPEN_PATHS
    assert ("predictor", "POST", "/v2/models/x-model_name/infer") in CALLS


@each_call
async def test_a_stranger_is_refused(service: str, method: str, path: str) -> None:
    assert_refused(await ask(service, method, path, {}))


@each_call
async def test_a_foreign_key_is_refused(service: str, method: str, path: str) -> None:
    assert_refused(await ask(service, method, path, proof(method, path, keys=OTHER)))


@each_call
async def test_a_proof_of_another_path_is_refused(service: str, method: str, path: str) -> None:
    assert_refused(await ask(service, method, path, proof(method, "/v1/else")))
    assert_refused(await ask(service, method, path, proof(method, path + "?x=1")))


@each_call
async def test_a_proof_of_another_method_is_refused(service: str, method: str, path: str) -> None:
    assert_refused(await ask(service, method, path, proof("PATCH", path)))


@each_call
async def test_a_proof_of_another_body_is_refused(service: str, method: str, path: str) -> None:
    assert_refused(await ask(service, method, path, proof(method, path, b'{"body": 2}')))


@each_call
async def test_a_proof_of_another_message_is_refused(service: str, method: str, path: str) -> None:
    headers = {**proof(method, path), MESSAGE_HEADER: "{}"}
    assert_refused(await ask(service, method, path, headers))


@each_call
async def test_an_old_proof_is_refused(service: str, method: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    with monkeypatch.context() as earlier:
        earlier.setattr(time, "time", lambda: now - 62.0)
        old = proof(method, path)
    assert_refused(await ask(service, method, path, old))


@each_call
async def test_a_replayed_proof_is_refused(service: str, method: str, path: str) -> None:
    assert_refused(await ask(service, method, path, proof(method, path), twice=True))


@each_call
async def test_a_good_proof_gets_past_the_guard(service: str, method: str, path: str) -> None:
    answer = await ask(service, method, path, proof(method, path))
    assert answer.headers.get("x-request-id")
    assert b"proof-refused" not in answer.content


@pytest.mark.parametrize("service", ["shard", "predictor"])
async def test_what_is_open_names_no_job(service: str) -> None:
    app = SERVICES[service]()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
        for path in ("/healthz", "/readyz", "/metrics"):
            answer = await http.get(path)
            assert answer.status_code == 200
            assert "job" not in answer.text


TOKENS = json.dumps([{"token": "of-a", "jobs": ["a"], "access": "read"}, {"token": "all", "access": "write"}])
FOR_EVERYBODY = {"/", "/ui", "/healthz", "/readyz", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}
"""What a gateway shows without a token: that it lives, what its API is, where its console is. None tells of a job."""
GATEWAY = create_gateway(world(tokens=TOKENS).state)
GATEWAY_CALLS = list(calls(GATEWAY.routes, FOR_EVERYBODY))


async def status_without_body(method: str, path: str, headers: dict[str, str]) -> int:
    """Return a gateway's answer to a request of which only the head has come; to ask for its body is an error."""
    statuses: list[int] = []

    async def receive() -> Message:
        raise AssertionError(f"{method} {path} asks for the body of a caller whom it does not know")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    head = {"content-type": "application/json", "content-length": "1000", **headers}
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"key=b/0/c",
        "headers": [(name.encode(), value.encode()) for name, value in head.items()],
    }
    await GATEWAY(scope, receive, send)
    [status] = statuses
    return status


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Bearer", "Basic all"])
@pytest.mark.parametrize(("method", "path"), GATEWAY_CALLS)
async def test_a_gateway_knows_its_caller_before_it_reads_a_body(method: str, path: str, token: str) -> None:
    assert await status_without_body(method, path, {"authorization": token} if token else {}) == 401


@pytest.mark.parametrize(("method", "path"), [call for call in GATEWAY_CALLS if "x-job" in call[1]])
async def test_a_gateway_knows_what_its_caller_may_before_it_reads_a_body(method: str, path: str) -> None:
    assert await status_without_body(method, path, {"authorization": "Bearer of-a"}) == 403


async def test_a_path_that_does_not_exist_is_not_told_from_one_that_does() -> None:
    assert_refused(await ask("shard", "GET", "/v1/nothing", {}))
    assert PROOF_HEADER in proof("GET", "/v1/nothing")
