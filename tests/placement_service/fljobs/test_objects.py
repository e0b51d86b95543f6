"""Which object speaks for a job, and the retention that all of them together ask for."""

import pytest

from flstore_core.ids import JobId
from services.placement.fljobs.objects import Objects
from services.placement.fljobs.spec import make_mirror
from services.placement.kube.resources import Json
from tests.kubernetes.world import fljob, job

JOB = JobId("job")


def made(name: str, created: str, **spec: object) -> Json:
    item = fljob(name, job="job", **spec)
    item["metadata"]["creationTimestamp"] = created
    return item


def mirror(name: str, created: str) -> Json:
    item = make_mirror(job("job"), name, "flstore", [])
    item["metadata"]["creationTimestamp"] = created
    return item


def leaving(item: Json) -> Json:
    return {**item, "metadata": {**item["metadata"], "deletionTimestamp": "now"}}


@pytest.mark.parametrize(
    ("items", "claimant"),
    [
        ([], None),
        ([fljob("other")], None),
        ([fljob("job")], "job"),
        ([made("b", "2026-01-01"), made("a", "2026-01-02")], "b"),
        ([made("b", "2026-01-01"), made("a", "2026-01-01")], "a"),
        ([mirror("m", "2026-01-01"), made("b", "2026-01-02")], "b"),
        ([leaving(made("b", "2026-01-01")), mirror("m", "2026-01-02")], "m"),
        ([{**fljob("x"), "spec": {"job": "no/job"}}, made("b", "2026-01-01")], "b"),
    ],
)
def test_the_oldest_object_made_by_a_person_speaks_for_a_job(items: list[Json], claimant: str | None) -> None:
    objects = Objects({item["metadata"]["name"]: item for item in items})
    assert objects.find_claimant(JOB) == claimant


def test_the_longest_retention_counts_and_nonsense_asks_for_none() -> None:
    items = {
        "a": fljob("a", retention="90s"),
        "b": fljob("b", roundInterval="8m"),
        "c": fljob("c", retention="for ever"),
    }
    assert Objects(items).compute_longest_retention(60) == 540.0
    assert Objects({}).compute_longest_retention(60) == 0.0


def test_a_view_may_be_gone_through_while_objects_come_and_go() -> None:
    items = {"a": fljob("a"), "b": fljob("b")}
    objects = Objects(items)
    for name in objects:
        items[f"{name}-more"] = items.pop(name)
    assert sorted(objects) == ["a-more", "b-more"]
    assert "a" not in objects
    assert objects.get("a") is None
