"""Jobs' records, read from the store once and kept."""

from threading import Lock

from flstore_core import layout
from flstore_core.errors import InvalidParameters
from flstore_core.ids import JobId
from flstore_core.records import Job
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json


class Jobs:
    """Records by job. One is read again when a request names another schema than the record kept. Thread-safe."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._records: dict[JobId, Job] = {}
        self._lock = Lock()

    def get(self, job: JobId, digest: str = "") -> Job:
        """Return a job's record.

        Args:
            digest: the schema's digest that the caller expects; empty accepts any.

        Raises:
            NotFound: if the store has no such job.
            InvalidParameters: if the stored schema has another digest.
        """
        with self._lock:
            record = self._records.get(job)
            if record is None or (digest and record.schema.digest != digest):
                record = self._records[job] = Job.from_json(load_json(self._store, layout.job(job)))
            if digest and record.schema.digest != digest:
                raise InvalidParameters(f"job {job!r} has another schema than the request expects")
            return record

    def forget(self, job: JobId) -> None:
        """Forget a deleted job."""
        with self._lock:
            self._records.pop(job, None)
