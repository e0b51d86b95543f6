"""What the controller sends is signed."""

import time

import httpx
import pytest

from services.common.proof import PROOF_HEADER, Keys, Verifier, new_key
from services.placement.signing import Signed

KEYS = Keys.parse(new_key())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "/v1/inventory", b""), ("POST", "/v1/assignment", b"{}"), ("DELETE", "/v1/a%20b?x=%2F1", b"")],
)
async def test_every_request_carries_a_proof(method: str, path: str, body: bytes) -> None:
    verifier = Verifier(KEYS, time.time)

    def backend(request: httpx.Request) -> httpx.Response:
        header, query = request.headers[PROOF_HEADER], request.url.query.decode()
        proof = verifier.check(header, request.method, request.url.path, query, "")
        proof.digest.update(request.content)
        proof.check_body()
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(backend), auth=Signed(KEYS)) as client:
        for _ in range(2):
            assert (await client.request(method, f"http://shard{path}", content=body)).is_success


async def test_without_a_key_nothing_is_added() -> None:
    def backend(request: httpx.Request) -> httpx.Response:
        assert PROOF_HEADER not in request.headers
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(backend), auth=Signed(Keys())) as client:
        assert (await client.get("http://shard/")).is_success
