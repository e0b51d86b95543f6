"""A job lives until it is deleted, and nothing is left of it then."""

from flstore_core import layout
from flstore_core.files import StoredFile
from flstore_core.records import Round
from services.gateway.rounds.ingest import Receipt
from tests.gateway.rounds.world import JOB, NAME
from tests.protocol.promises.end import End

ACKNOWLEDGED = (Receipt, Round, StoredFile)


def check(end: End) -> None:
    """Check that no life of the job has ended by itself; then delete the job, and check that nothing is left."""
    for attempt in end.history.of("put", "replace", "commit", "commit-filled", "put-dataset"):
        if (end.job is None or attempt.home != end.job.home) and isinstance(attempt.answer, ACKNOWLEDGED):
            deletions = end.history.of("delete")
            assert any(each.ended >= attempt.began for each in deletions), "a job is gone, and nobody has deleted it"
    if not end.store.log.accidents:
        ended = [key for key in _keys(end) if end.job is None or not key.startswith(f"{end.job.home}/")]
        assert ended == [], f"a job was deleted, and there is {ended}"
    if end.job is None:
        end.gateway.jobs.create(JOB)
    end.gateway.jobs.delete(NAME)
    assert _keys(end) == [], f"the job is deleted, and there is {_keys(end)}"


def _keys(end: End) -> list[str]:
    """Return the keys of all that is stored of the job's lives."""
    return [key for key in end.store.contents if key.startswith(layout.job_prefix(NAME)) and key != layout.job(NAME)]
