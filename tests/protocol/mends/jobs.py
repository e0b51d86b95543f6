"""Mends of creations and deletions of jobs."""

from dataclasses import replace

from flstore_core import layout
from flstore_core.errors import FLStoreError, NotFound
from flstore_core.generations import Generations, State, _deleted, _state
from flstore_core.ids import JobId
from flstore_core.records import Job
from flstore_core.storage.documents import load_json_with_etag
from services.gateway.jobs import Jobs
from tests.protocol.mends.base import Mend, Patch, ignore_conditions


def _share_a_home(patch: Patch) -> None:
    begin = Jobs._begin
    patch.setattr(Jobs, "_begin", lambda jobs, job: begin(jobs, replace(job, generation="g1")))


def _sweep_all(patch: Patch) -> None:
    def sweep(generations: Generations, job: JobId) -> None:
        for info in generations._store.list(layout.job_prefix(job)):
            if info.key != layout.job(job):
                generations._store.delete(info.key)

    patch.setattr(Generations, "sweep", sweep)


def _list_after_reading(patch: Patch) -> None:
    def sweep(generations: Generations, job: JobId) -> None:
        try:
            document = generations._load(job)
        except NotFound:
            return
        living = document["generation"] if _state(document) in (State.LIVE, State.PROPOSED) else None
        for folder in list(generations._store.folders(layout.job_prefix(job))):
            if folder != living:
                generations._store.delete_prefix(f"{layout.job_prefix(job)}{folder}/")

    patch.setattr(Generations, "sweep", sweep)


def _sweep_before_marking(patch: Patch) -> None:
    def delete(generations: Generations, job: JobId) -> None:
        document, etag = load_json_with_etag(generations._store, layout.job(job))
        if _state(document) is State.DELETED:
            raise NotFound(f"there is no job {job!r}")
        generations._store.delete_prefix(f"{layout.home(job, document['generation'])}/")
        generations._put(_deleted(job, document["generation"]), job, etag)

    patch.setattr(Generations, "delete", delete)


def _take_back_on_any_error(patch: Patch) -> None:
    def begin(jobs: Jobs, job: Job) -> bool:
        if not jobs._generations.begin(job):
            return False
        try:
            jobs._placement.place(job.id)
        except FLStoreError:
            jobs._generations.delete(job.id)
            raise
        return True

    patch.setattr(Jobs, "_begin", begin)


MENDS = [
    Mend("generations", "a deletion under way takes what the next job acknowledges", _share_a_home, "lives", 3),
    Mend("sweeps-spare-the-living", "a sweep that comes late takes the next job's objects", _sweep_all, "lives", 49),
    Mend(
        "listed-before-the-record-is-read",
        "a sweep takes a generation that began meanwhile",
        _list_after_reading,
        "lives",
        121,
    ),
    Mend("mark-before-sweep", "what is written during the sweep stays", _sweep_before_marking, "lives", 0),
    Mend("proposals", "a job is taken back though it has acknowledged updates", _take_back_on_any_error, "lives", 177),
    Mend(
        "job-records-by-etag",
        "a creation and a deletion at once undo each other",
        lambda patch: ignore_conditions(patch, "jobs/*/job.json"),
        "lives",
        35,
    ),
]
