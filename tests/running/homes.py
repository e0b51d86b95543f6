"""Where a running system keeps a job."""

from flstore_core.generations import Generations
from flstore_core.ids import Home, JobId
from tests.running.jobs import JobOverHttp
from tests.running.processes import System


def home_of(running: System, job: JobOverHttp) -> Home:
    """Return the folder of everything that a job stores."""
    return Generations(running.store).read(JobId(job.name)).home
