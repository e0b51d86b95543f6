"""The values between the API and a transport, and the docstring's worked example."""

import hashlib
from dataclasses import replace

import pytest

from flstore_core.client.api import Api
from flstore_core.client.exchange import Response
from flstore_core.client.retry import retry_for
from tests.client.conversation import Sent, converse, ok, problem


def test_the_docstrings_example() -> None:
    api = Api(replace(retry_for(3), chance=lambda: 0.0))
    busy = replace(problem(429, "busy"), headers={"retry-after": "1"})
    accepted = replace(ok(), status=202, headers={"location": "/v1/operations/op1"})
    sent: list[Sent] = []
    operation = converse(api.submit("j", "aggregate"), busy, accepted, ok({"id": "op1", "state": "running"}), sent=sent)
    assert [(request.method, request.path, request.delay_s) for request in sent] == [
        ("POST", "/v1/jobs/j/workloads/aggregate", 0.0),
        ("POST", "/v1/jobs/j/workloads/aggregate", 1.0),
        ("GET", "/v1/operations/op1", 0.0),
    ]
    assert (operation.id, operation.state) == ("op1", "running")


SHA256 = hashlib.sha256(b"model").hexdigest()


@pytest.mark.parametrize(
    ("etag", "digest"),
    [
        (f'"{SHA256}"', SHA256),
        (f'W/"{SHA256}"', SHA256),
        (f'"{SHA256[:32]}"', SHA256[:32]),
        (f'"{SHA256[:31]}"', None),
        (f'"{SHA256.upper()}"', None),
        ('"v3"', None),
        ("", None),
    ],
)
def test_an_etag_is_a_digest_if_it_is_at_least_half_a_hash(etag: str, digest: str | None) -> None:
    response = Response(200, {"etag": etag}, bytearray(b"model"))
    assert response.digest == digest
    assert response.sha256 == SHA256
    assert response.sha256.startswith(response.digest or "")


@pytest.mark.parametrize(("status", "success"), [(199, False), (200, True), (202, True), (299, True), (304, False)])
def test_success_is_every_status_between_200_and_299(status: int, success: bool) -> None:
    assert Response(status, {}, bytearray()).is_success is success
