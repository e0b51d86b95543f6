"""Which program and data sets a gateway has of a job."""

from flstore_core.archives.base import File
from flstore_core.client import FLStore, paths
from flstore_core.client.naming import Id
from flstore_core.errors import NotFound


def read_program(store: FLStore, job: Id) -> File | None:
    """Return the program of a job; None if it has none."""
    try:
        whole = store.download_range(paths.model_program(job), 0, 1)
    except NotFound:
        return None
    return File(whole.sha256, whole.nbytes)


def read_datasets(store: FLStore, job: Id) -> dict[str, File]:
    """Return the data sets of a job by name."""
    return {str(row.dataset): File.from_json(row) for row in store.datasets(job)}
