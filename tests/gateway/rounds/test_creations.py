"""Creations of one job at once, and what comes between."""

from flstore_core.generations import Generations
from flstore_core.records import Job
from tests.fakes.store import MemoryStore
from tests.gateway.rounds.world import NAME, SCHEMA, World


def test_a_creation_that_was_overtaken_brings_no_ended_generation_back() -> None:
    """Its proposal was taken over, and the job that came of it deleted, while it waited for a place."""
    store = MemoryStore()
    slow, quick = World.make(store), World.make(store)
    ended: list[str] = []

    def overtake() -> None:
        if not ended:
            ended.append(quick.jobs.create(Job(NAME, SCHEMA))[0].job.generation)
            quick.jobs.delete(NAME)

    slow.backends.placement.before = overtake
    index, created = slow.jobs.create(Job(NAME, SCHEMA))
    assert created
    assert index.job.generation not in ended
    slow.put(0, "a", 1, job=index.job)
    Generations(store).sweep(NAME)
    assert [member.client for member in slow.rounds.records.read_members(index.job, 0)] == ["a"]
