"""Jobs' records, read from the store once and kept."""

from threading import Lock
from weakref import WeakValueDictionary

from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.generations import Generations
from flstore_core.ids import JobId
from flstore_core.records import Job
from flstore_core.storage import ObjectStore


class Jobs:
    """Records by job. One is read again when a request means another than the record kept. Thread-safe.

    Each job has a lock of its own, held while its record is read. So all who miss one record wait for one read, a
    record that is forgotten meanwhile is forgotten after the read, and a slow store delays no other job.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._generations = Generations(store)
        self._records: dict[JobId, Job] = {}
        self._locks: WeakValueDictionary[JobId, Lock] = WeakValueDictionary()
        """By job, while somebody holds it or waits for it."""
        self._locks_lock = Lock()

    def get(self, job: JobId, digest: str = "", generation: str | None = None) -> Job:
        """Return a job's record.

        Args:
            digest: the schema's digest that the caller expects; empty accepts any.
            generation: the job's generation that the caller means; None accepts any.

        Raises:
            NotFound: if the store has no such job, or one of another generation.
            InvalidParameters: if the stored schema has another digest.
        """
        record = self._records.get(job)
        if record is None or not _fits(record, digest, generation):
            record = self._read(job, digest, generation)
        if generation is not None and record.generation != generation:
            raise NotFound(f"job {job!r} was deleted and made anew meanwhile")
        if digest and record.schema.digest != digest:
            raise InvalidParameters(f"job {job!r} has another schema than the request expects")
        return record

    def forget(self, job: JobId) -> None:
        """Forget a deleted job."""
        with self._lock(job):
            self._records.pop(job, None)

    def _read(self, job: JobId, digest: str, generation: str | None) -> Job:
        """Return the record in the store, unless another thread has read a fitting one meanwhile."""
        with self._lock(job):
            record = self._records.get(job)
            if record is None or not _fits(record, digest, generation):
                record = self._records[job] = self._generations.read_placeable(job)
            return record

    def _lock(self, job: JobId) -> Lock:
        with self._locks_lock:
            return self._locks.setdefault(job, Lock())


def _fits(record: Job, digest: str, generation: str | None) -> bool:
    return digest in ("", record.schema.digest) and generation in (None, record.generation)
