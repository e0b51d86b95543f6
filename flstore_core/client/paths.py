"""URL paths of the HTTP API. Each function checks the names it is given.

A name that is not usable raises `InvalidId`, and what is no name at all `InvalidParameters`.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flstore_core import ids
from flstore_core.client.naming import Id, as_base, as_round, as_text, client_name, job_name


def job(name: Id) -> str:
    return f"/v1/jobs/{job_name(name)}"


def model_program(job_name: Id) -> str:
    return f"{job(job_name)}/model"


def datasets(job_name: Id) -> str:
    return f"{job(job_name)}/datasets"


def dataset(job_name: Id, name: Id) -> str:
    return f"{datasets(job_name)}/{_object('data set', name)}"


def rounds(job_name: Id) -> str:
    return f"{job(job_name)}/rounds"


def round_(job_name: Id, number: int) -> str:
    return f"{rounds(job_name)}/{ids.round_number(as_round(number))}"


def commit(job_name: Id, number: int) -> str:
    return f"{round_(job_name, number)}/commit"


def tickets(job_name: Id, number: int) -> str:
    return f"{round_(job_name, number)}/tickets"


def update(job_name: Id, number: int, client_id: Id) -> str:
    return f"{round_(job_name, number)}/clients/{client_name(client_id)}"


def aggregate(job_name: Id, number: int) -> str:
    return f"{round_(job_name, number)}/aggregate"


def model(job_name: Id, number: int, client_id: Id) -> str:
    """Return the path of a client's update, or of the aggregate for the client `aggregate`."""
    return aggregate(job_name, number) if client_id == ids.AGGREGATE else update(job_name, number, client_id)


def upload(path: str, replace: bool, base: int | str | None = None, early: bool = False) -> str:
    """Return the path of an update or aggregate with the parameters of its upload."""
    parameters = {name: "true" for name, value in (("replace", replace), ("early", early)) if value}
    if base is not None:
        parameters["base"] = as_base(base)
    return f"{path}?{urlencode(parameters)}" if parameters else path


def client(job_name: Id, name: Id) -> str:
    return f"{job(job_name)}/clients/{client_name(name)}"


def metrics(job_name: Id, **choices: object) -> str:
    return _asked(f"{job(job_name)}/metrics", choices)


def participation(job_name: Id, **choices: object) -> str:
    return _asked(f"{job(job_name)}/participation", choices)


def norms(job_name: Id, number: int, **choices: object) -> str:
    return _asked(f"{round_(job_name, number)}/norms", choices)


def client_series(job_name: Id, name: Id, **choices: object) -> str:
    return _asked(client(job_name, name), choices)


def artifact(job_name: Id, link: str | Mapping[str, Any]) -> str:
    """Return an artifact's path, given its id, its link's `href`, or the link itself."""
    href = as_text("artifact", link.get("href") if isinstance(link, Mapping) else link)
    return f"{job(job_name)}/artifacts/{ids.object_name('artifact', href.rsplit('/', 1)[-1])}"


def workload(job_name: Id, name: Id) -> str:
    return f"{job(job_name)}/workloads/{_object('workload', name)}"


def operation(name: Id) -> str:
    return f"/v1/operations/{_object('operation', name)}"


def _asked(path: str, choices: Mapping[str, object]) -> str:
    """Return a path with the choices that were made; those that are None are the server's."""
    made = {name: value for name, value in choices.items() if value is not None}
    return f"{path}?{urlencode(made)}" if made else path


def _object(kind: str, name: Id) -> str:
    return ids.object_name(kind, as_text(kind, name))


def cost(name: Id | None) -> str:
    return "/v1/cost" if name is None else f"/v1/cost?{urlencode({'job': job_name(name)})}"


def explain(name: Id, number: int, member: Id, piece: int) -> str:
    client = member if member == ids.AGGREGATE else client_name(member)
    key = f"{job_name(name)}/{ids.round_number(as_round(number))}/{client}/{as_round(piece)}"
    return f"/v1/cache/explain?{urlencode({'key': key})}"
