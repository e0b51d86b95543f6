"""Keys in the store: distinct for distinct things, below their job, and as version 1 of the layout fixes them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core import layout
from flstore_core.ids import AGGREGATE, MAX_ROUND, ClientId, JobId
from flstore_core.storage.base import checked_key, checked_prefix

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True)
rounds = st.integers(0, MAX_ROUND)

J, C = JobId("j"), ClientId("c")

VERSION_1 = {
    "jobs/j/job.json": layout.job(J),
    "jobs/j/": layout.job_prefix(J),
    "jobs/j/rounds/": layout.rounds_prefix(J),
    "jobs/j/rounds/00000012/": layout.round_prefix(J, 12),
    "jobs/j/rounds/00000012/open.json": layout.opening(J, 12),
    "jobs/j/rounds/00000012/round.json": layout.round_record(J, 12),
    "jobs/j/rounds/00000012/statistics.safetensors": layout.statistics(J, 12),
    "jobs/j/rounds/00000012/clients/": layout.clients_prefix(J, 12),
    "jobs/j/rounds/00000012/clients/c.safetensors": layout.tensors(J, 12, C),
    "jobs/j/rounds/00000012/clients/c.json": layout.member(J, 12, C),
    "jobs/j/rounds/00000012/aggregate.safetensors": layout.tensors(J, 12, AGGREGATE),
    "jobs/j/rounds/00000012/aggregate.json": layout.member(J, 12, AGGREGATE),
    "jobs/j/artifacts/a1.safetensors": layout.artifact(J, "a1"),
    "jobs/j/artifacts/": layout.artifacts_prefix(J),
    "jobs/j/model.pt2": layout.program(J),
    "jobs/j/model.json": layout.program_record(J),
    "jobs/j/datasets/d.safetensors": layout.dataset(J, "d"),
    "jobs/j/datasets/d.json": layout.dataset_record(J, "d"),
    "jobs/j/datasets/": layout.datasets_prefix(J),
    "audit/j/": layout.audit_prefix(J),
    "audit/j/e1.json": layout.audit(J, "e1"),
    "placement/working-sets/shard-0.json": layout.working_set("shard-0"),
    "placement/table.json": layout.TABLE,
}


@pytest.mark.parametrize("expected", VERSION_1)
def test_the_layout_is_version_1(expected: str) -> None:
    assert VERSION_1[expected] == expected


@given(names, names, rounds)
def test_every_key_can_be_stored(job: str, name: str, number: int) -> None:
    for key in of_round(JobId(job), number, ClientId(name)) + of_job(JobId(job), name):
        assert checked_key(key) == key


@given(names, names, rounds)
def test_every_key_of_a_job_lies_below_its_prefix_but_the_audit(job: str, name: str, number: int) -> None:
    prefix = layout.job_prefix(JobId(job))
    assert checked_prefix(prefix) == prefix
    for key in of_round(JobId(job), number, ClientId(name)) + of_job(JobId(job), name):
        assert key.startswith(prefix)
    assert not layout.audit(JobId(job), name).startswith(prefix)


@given(st.lists(st.tuples(names, rounds, names), min_size=2, max_size=6, unique=True))
def test_distinct_things_have_distinct_keys(things: list[tuple[str, int, str]]) -> None:
    for key in (layout.tensors, layout.member):
        keys = {key(JobId(job), number, ClientId(client)) for job, number, client in things}
        assert len(keys) == len(things)


@given(names, rounds, names)
def test_no_two_kinds_of_object_share_a_key(job: str, number: int, name: str) -> None:
    keys = of_round(JobId(job), number, ClientId(name)) + of_job(JobId(job), name)
    assert len(set(keys)) == len(keys)


@given(names, st.lists(rounds, min_size=2, max_size=8, unique=True))
def test_rounds_sort_by_number_in_a_listing(job: str, numbers: list[int]) -> None:
    prefixes = [layout.round_prefix(JobId(job), number) for number in sorted(numbers)]
    assert sorted(prefixes) == prefixes


@pytest.mark.parametrize("make", [layout.job_prefix, layout.rounds_prefix, layout.audit_prefix])
def test_a_jobs_prefix_never_covers_another_jobs(make: Callable[[JobId], str]) -> None:
    assert not make(JobId("job-10")).startswith(make(JobId("job-1")))


def of_round(job: JobId, number: int, client: ClientId) -> list[str]:
    keys = [layout.opening(job, number), layout.round_record(job, number), layout.statistics(job, number)]
    for member in (client, AGGREGATE):
        if member == AGGREGATE and client == AGGREGATE:
            continue
        keys += [layout.tensors(job, number, member), layout.member(job, number, member)]
    return keys


def of_job(job: JobId, name: str) -> list[str]:
    return [
        layout.job(job),
        layout.program(job),
        layout.program_record(job),
        layout.artifact(job, name),
        layout.dataset(job, name),
        layout.dataset_record(job, name),
    ]
