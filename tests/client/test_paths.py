"""The client's paths, compared with the routes that the gateway declares."""

from collections.abc import Callable

import pytest
from fastapi import APIRouter
from starlette.routing import Match, Route

from flstore_core.client import paths
from flstore_core.errors import InvalidId
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
        paths.job,
        paths.operation,
        lambda name: paths.update("j", 1, name),
        lambda name: paths.workload("j", name),
        lambda name: paths.dataset("j", name),
        lambda name: paths.client(name, "c1"),
    ],
)
def test_a_name_that_could_leave_its_place_in_a_path_is_refused(path: Callable[[str], str], name: str) -> None:
    with pytest.raises(InvalidId):
        path(name)


@pytest.mark.parametrize("number", [-1, 10**8])
def test_a_round_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(InvalidId, match=f"round {number} is out of range"):
        paths.aggregate("j", number)


@pytest.mark.parametrize("name", ["aggregate", "metadata"])
def test_a_reserved_name_is_no_client(name: str) -> None:
    with pytest.raises(InvalidId, match="reserved"):
        paths.update("j", 1, name)
