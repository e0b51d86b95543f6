"""The gateway answers as its OpenAPI document says, to calls that a fuzzer makes of that document.

Schemathesis makes calls that fit the description and calls that do not, alone and in chains along the document's links.
No answer may be a 5xx, or have a status, a media type or a body that the document does not name.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import Receive, Scope, Send

from services.gateway.app import create_app
from tests.gateway.world import TENSORS, body, world
from tests.serving import served

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
KNOWN: dict[str, list[Any]] = {
    "job": ["job", "another", "third"],
    "round": [0, 1, 2],
    "client": ["c0", "c1", "new"],
    "dataset": ["test"],
    "name": ["metrics", "cosine-similarity", "malicious-filter", "aggregate", "clustering", "provenance", "inspect"],
}

schemathesis.openapi.media_type(
    "application/octet-stream", st.one_of(st.integers(0, 9).map(body), st.binary(max_size=200))
)


schema: Any = schemathesis.openapi.from_dict(create_app(world().state).openapi())


class Fresh:
    """A gateway over a store in memory, with a job to begin with, that can be begun anew."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        gateway = world()
        gateway.create()
        gateway.fill(0, 3)
        gateway.put_aggregate(0, 1)
        gateway.commit(0)
        self._app = create_app(gateway.state)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


@pytest.fixture
def gateway() -> Fresh:
    return Fresh()


@pytest.fixture
def url(gateway: Fresh) -> Iterator[str]:
    """The gateway on a real socket."""
    with served(gateway) as url:
        yield url


@schema.hook  # type: ignore[untyped-decorator]
def map_path_parameters(context: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Put one of a few names in place of most: what nobody made is answered 404, whatever else is asked of it."""
    known = {**KNOWN, "job": KNOWN["job"][1:]} if _id_of(context) == "delete_job" else KNOWN
    return {name: _one_of(known[name], value) if name in known else value for name, value in (values or {}).items()}


@schema.hook  # type: ignore[untyped-decorator]
def map_headers(_: Any, values: Any) -> Any:
    """Send metrics that are JSON with most updates."""
    if values and (text := values.get("X-FLStore-Metrics")) is not None and _length(text) % 4:
        values["X-FLStore-Metrics"] = json.dumps({"num_examples": _length(text), "loss": 0.5})
    return values


@schema.hook  # type: ignore[untyped-decorator]
def map_body(context: Any, value: Any) -> Any:
    """Create jobs with the one schema that updates are made for."""
    return {"schema": TENSORS} if _id_of(context) == "create_job" and _length(value) % 4 else value


def _id_of(context: Any) -> str:
    return str(context.operation.definition.raw["operationId"])


def _one_of(known: list[Any], value: Any) -> Any:
    return value if value in known or _length(value) % 4 == 0 else known[_length(value) % len(known)]


def _length(value: Any) -> int:
    return len(repr(value))


@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_call_is_answered_as_described(case: schemathesis.Case[Any], url: str) -> None:
    case.call_and_validate(base_url=url, checks=CHECKS)


def test_chains_of_calls_are_answered_as_described(gateway: Fresh, url: str) -> None:
    """Along links: a job is made, its rounds filled, committed and asked about, operations read, clients erased."""

    class Chains(schema.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            gateway.begin()  # what one chain has made would decide where the same calls of another lead

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"base_url": url}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            case.validate_response(response, checks=CHECKS)

    schema.config.generation.update(modes=[schemathesis.GenerationMode.POSITIVE])
    Chains.run(
        settings=settings(
            max_examples=25,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
    )


def test_links_lead_to_calls_that_exist() -> None:
    document = create_app(world().state).openapi()
    operations = {
        operation["operationId"]: {parameter["name"] for parameter in operation.get("parameters", [])}
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    links = [
        link
        for methods in document["paths"].values()
        for operation in methods.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(links) > 20
    for link in links:
        assert link["parameters"].keys() <= operations[link["operationId"]], link
