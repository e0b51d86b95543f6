"""Keys in the store: distinct for distinct things, below their job, and as version 1 of the layout fixes them."""

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flstore_core import layout
from flstore_core.ids import AGGREGATE, MAX_ROUND, ClientId, JobId
from flstore_core.storage.base import checked_key, checked_prefix

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True)
rounds = st.integers(0, MAX_ROUND)
generations = st.just("") | st.from_regex(r"g[0-9a-f]{16}", fullmatch=True)

J, C = JobId("j"), ClientId("c")
H = layout.home(J, "")

VERSION_1 = {
    "jobs/j/job.json": layout.job(J),
    "jobs/j/": layout.job_prefix(J),
    "jobs/j/rounds/": layout.rounds_prefix(H),
    "jobs/j/rounds/00000012/": layout.round_prefix(H, 12),
    "jobs/j/rounds/00000012/open.json": layout.opening(H, 12),
    "jobs/j/rounds/00000012/round.json": layout.round_record(H, 12),
    "jobs/j/rounds/00000012/statistics.safetensors": layout.statistics(H, 12),
    "jobs/j/rounds/00000012/clients/": layout.clients_prefix(H, 12),
    "jobs/j/rounds/00000012/clients/c.safetensors": layout.tensors(H, 12, C),
    "jobs/j/rounds/00000012/clients/c.json": layout.member(H, 12, C),
    "jobs/j/rounds/00000012/aggregate.safetensors": layout.tensors(H, 12, AGGREGATE),
    "jobs/j/rounds/00000012/aggregate.json": layout.member(H, 12, AGGREGATE),
    "jobs/j/artifacts/a1.safetensors": layout.artifact(H, "a1"),
    "jobs/j/artifacts/": layout.artifacts_prefix(H),
    "jobs/j/model.pt2": layout.program(H),
    "jobs/j/model.json": layout.program_record(H),
    "jobs/j/datasets/d.safetensors": layout.dataset(H, "d"),
    "jobs/j/datasets/d.json": layout.dataset_record(H, "d"),
    "jobs/j/datasets/": layout.datasets_prefix(H),
    "audit/j/": layout.audit_prefix(J),
    "audit/j/e1.json": layout.audit(J, "e1"),
    "placement/working-sets/shard-0.json": layout.working_set("shard-0"),
    "placement/table.json": layout.TABLE,
}


@pytest.mark.parametrize("expected", VERSION_1)
def test_the_layout_of_jobs_without_a_generation_is_version_1(expected: str) -> None:
    assert VERSION_1[expected] == expected


@given(names, generations, names, rounds)
def test_every_key_can_be_stored(job: str, generation: str, name: str, number: int) -> None:
    for key in keys_of(JobId(job), generation, number, name):
        assert checked_key(key) == key


@given(names, generations, names, rounds)
def test_every_key_of_a_job_lies_below_its_prefix_but_the_audit(
    job: str, generation: str, name: str, number: int
) -> None:
    prefix = layout.job_prefix(JobId(job))
    assert checked_prefix(prefix) == prefix
    for key in keys_of(JobId(job), generation, number, name):
        assert key.startswith(prefix)
    assert not layout.audit(JobId(job), name).startswith(prefix)


@given(st.lists(st.tuples(names, generations, rounds, names), min_size=2, max_size=6, unique=True))
def test_distinct_things_have_distinct_keys(things: list[tuple[str, str, int, str]]) -> None:
    for key in (layout.tensors, layout.member):
        homes = [(layout.home(JobId(job), generation), number, client) for job, generation, number, client in things]
        assert len({key(home, number, ClientId(client)) for home, number, client in homes}) == len(things)


@given(names, generations, generations, rounds, names)
def test_generations_share_no_key_but_that_of_the_jobs_record(
    job: str, one: str, other: str, number: int, name: str
) -> None:
    assume(one != other)
    shared = set(keys_of(JobId(job), one, number, name)) & set(keys_of(JobId(job), other, number, name))
    assert shared == {layout.job(JobId(job))}


@given(names, generations, rounds, names)
def test_no_two_kinds_of_object_share_a_key(job: str, generation: str, number: int, name: str) -> None:
    keys = keys_of(JobId(job), generation, number, name)
    assert len(set(keys)) == len(keys)


@given(names, generations, st.lists(rounds, min_size=2, max_size=8, unique=True))
def test_rounds_sort_by_number_in_a_listing(job: str, generation: str, numbers: list[int]) -> None:
    home = layout.home(JobId(job), generation)
    prefixes = [layout.round_prefix(home, number) for number in sorted(numbers)]
    assert sorted(prefixes) == prefixes


@pytest.mark.parametrize("make", [layout.job_prefix, layout.audit_prefix])
def test_a_jobs_prefix_never_covers_another_jobs(make: Callable[[JobId], str]) -> None:
    assert not make(JobId("job-10")).startswith(make(JobId("job-1")))


def keys_of(job: JobId, generation: str, number: int, name: str) -> list[str]:
    """Return keys of all kinds."""
    home, client = layout.home(job, generation), ClientId(name)
    members = (client,) if client == AGGREGATE else (client, AGGREGATE)
    return [
        layout.job(job),
        layout.program(home),
        layout.program_record(home),
        layout.artifact(home, name),
        layout.dataset(home, name),
        layout.dataset_record(home, name),
        layout.opening(home, number),
        layout.round_record(home, number),
        layout.statistics(home, number),
        *(key(home, number, member) for key in (layout.tensors, layout.member) for member in members),
    ]
