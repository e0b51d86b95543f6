"""URL paths of the HTTP API. Each function checks the names it is given; a wrong one raises `InvalidId`."""

from flstore_core import ids


def job(name: str) -> str:
    return f"/v1/jobs/{ids.job_id(name)}"


def model_program(job_name: str) -> str:
    return f"{job(job_name)}/model"


def dataset(job_name: str, name: str) -> str:
    return f"{job(job_name)}/datasets/{ids.object_name('data set', name)}"


def rounds(job_name: str) -> str:
    return f"{job(job_name)}/rounds"


def round_(job_name: str, number: int) -> str:
    return f"{rounds(job_name)}/{ids.round_number(number)}"


def commit(job_name: str, number: int) -> str:
    return f"{round_(job_name, number)}/commit"


def update(job_name: str, number: int, client_name: str) -> str:
    return f"{round_(job_name, number)}/clients/{ids.client_id(client_name)}"


def aggregate(job_name: str, number: int) -> str:
    return f"{round_(job_name, number)}/aggregate"


def client(job_name: str, name: str) -> str:
    return f"{job(job_name)}/clients/{ids.client_id(name)}"


def artifact(job_name: str, link: str) -> str:
    """Return an artifact's path, given its id or its link."""
    return f"{job(job_name)}/artifacts/{ids.object_name('artifact', link.rsplit('/', 1)[-1])}"


def workload(job_name: str, name: str) -> str:
    return f"{job(job_name)}/workloads/{ids.object_name('workload', name)}"


def operation(name: str) -> str:
    return f"/v1/operations/{ids.object_name('operation', name)}"
