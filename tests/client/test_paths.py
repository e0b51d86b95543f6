"""The client's paths, compared with the routes that the gateway declares."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from fastapi import APIRouter
from starlette.routing import Match, Route

from flstore_core.client import paths
from flstore_core.errors import InvalidId, InvalidParameters
from services.gateway.routes import jobs, models, rounds, system, workloads

ROUTERS = [
    value
    for part in (jobs, models, rounds, system, workloads)
    for value in vars(part).values()
    if isinstance(value, APIRouter)
]
ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, Route)]
FIXED = ("/v1/jobs", "/v1/workloads", "/v1/placement", "/v1/cache")


@pytest.mark.parametrize(
    ("method", "path", "values"),
    [
        ("PUT", paths.job("j"), ["j"]),
        ("DELETE", paths.job("j"), ["j"]),
        ("PUT", paths.model_program("j"), ["j"]),
        ("PUT", paths.dataset("j", "test"), ["j", "test"]),
        ("GET", paths.rounds("j"), ["j"]),
        ("GET", paths.round_("j", 3), ["j", "3"]),
        ("POST", paths.commit("j", 3), ["j", "3"]),
        ("PUT", paths.update("j", 3, "c1"), ["j", "3", "c1"]),
        ("GET", paths.update("j", 3, "c1"), ["j", "3", "c1"]),
        ("PUT", paths.aggregate("j", 3), ["j", "3"]),
        ("GET", paths.aggregate("j", 3), ["j", "3"]),
        ("DELETE", paths.client("j", "c1"), ["j", "c1"]),
        ("GET", paths.artifact("j", "a1.safetensors"), ["j", "a1.safetensors"]),
        ("POST", paths.workload("j", "aggregate"), ["j", "aggregate"]),
        ("GET", paths.operation("op1"), ["op1"]),
        *(("GET", path, []) for path in FIXED),
    ],
)
def test_the_gateway_has_a_route_for_every_path(method: str, path: str, values: list[str]) -> None:
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    parameters = [
        child["path_params"] for route in ROUTES for match, child in [route.matches(scope)] if match is Match.FULL
    ]
    assert parameters, f"the gateway has no route for {method} {path}"
    assert sorted(map(str, parameters[0].values())) == sorted(values)


def test_an_artifact_is_named_by_its_id_or_its_link() -> None:
    assert paths.artifact("j", "/v1/jobs/j/artifacts/a1") == paths.artifact("j", "a1") == "/v1/jobs/j/artifacts/a1"


@pytest.mark.parametrize("name", ["..", "a/b", "", "a b", "-a", "é", "x" * 129])
@pytest.mark.parametrize(
    "path",
    [
        paths.operation,
        lambda name: paths.workload("j", name),
        lambda name: paths.dataset("j", name),
    ],
)
def test_a_name_that_could_leave_its_place_in_a_path_is_refused(path: Callable[[str], str], name: str) -> None:
    with pytest.raises(InvalidId):
        path(name)


@pytest.mark.parametrize(
    ("client", "kept"),
    [
        ("c1", "c1"),
        ("Hospital A", "x--Hospital_20A"),
        ("ipv4:10.0.0.1:5000", "x--ipv4_3a10.0.0.1_3a5000"),
        ("alice@example.org", "x--alice_40example.org"),
        ("../x", "x--.._2fx"),
        ("_a", "x--_5fa"),
        ("é", "x--_c3_a9"),
        (-5, "x---5"),
        (7, "7"),
        (2**70, str(2**70)),
        (np.int64(3), "3"),
        (UUID(int=255), "00000000-0000-0000-0000-0000000000ff"),
        (PurePosixPath("site/1"), "x--site_2f1"),
    ],
)
def test_a_client_or_job_may_be_named_by_any_text_and_by_what_stands_for_text(client: Any, kept: str) -> None:
    assert paths.update("j", 1, client) == f"/v1/jobs/j/rounds/1/clients/{kept}"
    assert paths.client("j", client) == f"/v1/jobs/j/clients/{kept}"
    assert paths.job(client) == f"/v1/jobs/{kept}"
    assert paths.commit(client, 1) == f"/v1/jobs/{kept}/rounds/1/commit"


@pytest.mark.parametrize("client", ["", "x" * 129, "é" * 60, "\ud800"])
def test_a_client_or_job_without_a_name_or_with_one_too_long_is_refused(client: str) -> None:
    with pytest.raises(InvalidId):
        paths.client("j", client)
    with pytest.raises(InvalidId):
        paths.job(client)


@pytest.mark.parametrize(
    "value", [None, 1.5, b"c", True, ["c"], np.array([1]), 1 << 20_000], ids=lambda value: type(value).__name__
)
def test_what_is_no_name_is_described(value: Any) -> None:
    with pytest.raises(InvalidParameters, match=r"client is .*; pass text, a whole number, a UUID or a path"):
        paths.client("j", value)
    with pytest.raises(InvalidParameters, match=r"job is .*; pass text"):
        paths.job(value)
    with pytest.raises(InvalidParameters, match=r"operation is .*; pass text"):
        paths.operation(value)


@pytest.mark.parametrize("value", [None, "3", 3.0, True])
def test_a_round_is_a_whole_number_of_any_type(value: Any) -> None:
    three: Any = np.int16(3)
    assert paths.round_("j", three) == "/v1/jobs/j/rounds/3"
    with pytest.raises(InvalidParameters, match=r"round is .*; pass a whole number"):
        paths.round_("j", value)


@pytest.mark.parametrize("number", [-1, 10**8])
def test_a_round_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(InvalidId, match=f"round {number} is out of range"):
        paths.aggregate("j", number)


@pytest.mark.parametrize("name", ["aggregate", "metadata"])
def test_a_reserved_name_is_no_client(name: str) -> None:
    with pytest.raises(InvalidId, match="reserved"):
        paths.update("j", 1, name)
