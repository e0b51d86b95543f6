"""Where everything lies in the object store.

Everything that belongs to a job lies in the *home* of one of its generations, except the job's record and its
tombstones. A job that is deleted and made anew has a new generation and so another home: old and new share no key.
"""

from flstore_core.ids import AGGREGATE, ClientId, Home, JobId

TABLE = "placement/table.json"

REMADE = ("placement/", "probes/")
"""Folders whose objects are made anew from the others by whoever needs them."""


def job(job: JobId) -> str:
    return f"jobs/{job}/job.json"


def job_prefix(job: JobId) -> str:
    return f"jobs/{job}/"


def home(job: JobId, generation: str) -> Home:
    """Return the home of a generation of a job. The empty generation is that of jobs from before there were any."""
    return Home(f"jobs/{job}/{generation}" if generation else f"jobs/{job}")


def rounds_prefix(home: Home) -> str:
    return f"{home}/rounds/"


def round_prefix(home: Home, number: int) -> str:
    return f"{home}/rounds/{number:08d}/"


def opening(home: Home, number: int) -> str:
    """The small record, written once by the first thing put into a round, that fixes the round's base."""
    return round_prefix(home, number) + "open.json"


def round_record(home: Home, number: int) -> str:
    return round_prefix(home, number) + "round.json"


def statistics(home: Home, number: int) -> str:
    return round_prefix(home, number) + "statistics.safetensors"


def clients_prefix(home: Home, number: int) -> str:
    return round_prefix(home, number) + "clients/"


def tensors(home: Home, number: int, client: ClientId, upload: str = "") -> str:
    """A client's update, or the round's aggregate for the name `aggregate`.

    Each upload has a file of its own, named for it after a `~`, which no client's name has. Version 0.1.0 named none.
    """
    stem = "aggregate" if client == AGGREGATE else f"clients/{client}"
    return f"{round_prefix(home, number)}{stem}{_suffix(upload)}.safetensors"


def member(home: Home, number: int, client: ClientId) -> str:
    """The record beside a model's tensors; it is written after them, so where it is they are whole."""
    stem = "aggregate" if client == AGGREGATE else f"clients/{client}"
    return f"{round_prefix(home, number)}{stem}.json"


def artifact(home: Home, name: str) -> str:
    return f"{home}/artifacts/{name}.safetensors"


def program(home: Home, upload: str = "") -> str:
    """The exported program that runs the job's models. Each upload has a file of its own, as for `tensors`."""
    return f"{home}/model{_suffix(upload)}.pt2"


def program_record(home: Home) -> str:
    """The record that says which upload is the program; it is written after it."""
    return f"{home}/model.json"


def dataset(home: Home, name: str, upload: str = "") -> str:
    """A data set. Each upload has a file of its own, as for `tensors`."""
    return f"{home}/datasets/{name}{_suffix(upload)}.safetensors"


def dataset_record(home: Home, name: str) -> str:
    """The record that says which upload is the data set; it is written after it."""
    return f"{home}/datasets/{name}.json"


def datasets_prefix(home: Home) -> str:
    return f"{home}/datasets/"


def artifacts_prefix(home: Home) -> str:
    return f"{home}/artifacts/"


def audit_prefix(job: JobId) -> str:
    return f"audit/{job}/"


def audit(job: JobId, name: str) -> str:
    """A tombstone: who was erased from a job, when, and how many objects went. Kept outside the job's own prefix."""
    return f"audit/{job}/{name}.json"


def probe(name: str) -> str:
    """An object of a service that finds out at its start whether the store keeps conditional writes."""
    return f"probes/{name}"


def erasures_prefix(job: JobId | None = None) -> str:
    return f"erasures/{job}/" if job else "erasures/"


def erasure(job: JobId, name: str) -> str:
    """The record of an erasure that has begun and not ended."""
    return f"erasures/{job}/{name}.json"


def working_sets_prefix() -> str:
    return "placement/working-sets/"


def working_set(shard: str) -> str:
    return f"placement/working-sets/{shard}.json"


def _suffix(upload: str) -> str:
    return f"~{upload}" if upload else ""


def rank(key: str) -> int:
    """Return when to write an object so that what a record names is written before it: 0 first, jobs' records last."""
    name = key.rpartition("/")[2]
    if not name.endswith(".json"):
        return 0
    return {"round.json": 2, "job.json": 3}.get(name, 1)
