"""Where everything lies in the object store."""

from flstore_core.ids import AGGREGATE, ClientId, JobId

TABLE = "placement/table.json"


def job(job: JobId) -> str:
    return f"jobs/{job}/job.json"


def job_prefix(job: JobId) -> str:
    return f"jobs/{job}/"


def rounds_prefix(job: JobId) -> str:
    return f"jobs/{job}/rounds/"


def round_prefix(job: JobId, number: int) -> str:
    return f"jobs/{job}/rounds/{number:08d}/"


def opening(job: JobId, number: int) -> str:
    """The small record, written once by the first thing put into a round, that fixes the round's base."""
    return round_prefix(job, number) + "open.json"


def round_record(job: JobId, number: int) -> str:
    return round_prefix(job, number) + "round.json"


def statistics(job: JobId, number: int) -> str:
    return round_prefix(job, number) + "statistics.safetensors"


def clients_prefix(job: JobId, number: int) -> str:
    return round_prefix(job, number) + "clients/"


def tensors(job: JobId, number: int, client: ClientId) -> str:
    """A client's update, or the round's aggregate for the name `aggregate`."""
    stem = "aggregate" if client == AGGREGATE else f"clients/{client}"
    return f"{round_prefix(job, number)}{stem}.safetensors"


def member(job: JobId, number: int, client: ClientId) -> str:
    """The record beside a model's tensors; it is written after them, so where it is they are whole."""
    stem = "aggregate" if client == AGGREGATE else f"clients/{client}"
    return f"{round_prefix(job, number)}{stem}.json"


def artifact(job: JobId, name: str) -> str:
    return f"jobs/{job}/artifacts/{name}.safetensors"


def program(job: JobId) -> str:
    """The exported program that runs the job's models."""
    return f"jobs/{job}/model.pt2"


def program_record(job: JobId) -> str:
    """The record beside the program; it is written after it."""
    return f"jobs/{job}/model.json"


def dataset(job: JobId, name: str) -> str:
    return f"jobs/{job}/datasets/{name}.safetensors"


def dataset_record(job: JobId, name: str) -> str:
    """The record beside a data set; it is written after it."""
    return f"jobs/{job}/datasets/{name}.json"


def datasets_prefix(job: JobId) -> str:
    return f"jobs/{job}/datasets/"


def artifacts_prefix(job: JobId) -> str:
    return f"jobs/{job}/artifacts/"


def audit_prefix(job: JobId) -> str:
    return f"audit/{job}/"


def audit(job: JobId, name: str) -> str:
    """A tombstone: who was erased from a job, when, and how many objects went. Kept outside the job's own prefix."""
    return f"audit/{job}/{name}.json"


def working_set(shard: str) -> str:
    return f"placement/working-sets/{shard}.json"
