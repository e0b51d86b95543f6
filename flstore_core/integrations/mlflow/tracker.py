"""The run of each job, and the rounds that it lacks."""

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from flstore_core.client import FLStore, JobInfo
from flstore_core.errors import FLStoreError, InvalidParameters, Unavailable
from flstore_core.ids import decode, encode
from flstore_core.integrations.mlflow.entries import Entry, entry_of

if TYPE_CHECKING:
    from flstore_core.integrations.mlflow.run import Run

JOB, CREATED = "flstore.job", "flstore.created_at"
"""Tags of a run: which job it is of. A job that was deleted and made anew is another one."""
STORE = "flstore.url"
"""The tag with the address of the store."""


@dataclass(frozen=True)
class Exported:
    """What a call has written."""

    run_id: str
    experiment_id: str
    rounds: tuple[int, ...]
    """Those that the run did not have."""


class MLflow:
    """Writes the rounds of jobs into runs of MLflow, a run for each job. Safe to share between threads.

    As the tracker of a recorder it follows a training: `attach(strategy, url, tracker=MLflow())`. If a run is active in
    the thread that makes it (`with mlflow.start_run()`), that run is filled, and its state and name stay the caller's.

    Args:
        experiment: the experiment's name, which is made if it does not exist; by default the one that the environment
            names, as everywhere in MLflow, or else `Default`.
        tracking_uri: MLflow's server or store; by default the one that MLflow is set to.
        run_id: a run to fill; by default the active one, else the one that the job has in the experiment, or a new one.
        per_client: whether clients' own metrics are written, a chart for each client and metric.

    Raises:
        InvalidParameters: if MLflow is not installed.
    """

    def __init__(
        self, experiment: str = "", *, tracking_uri: str | None = None, run_id: str = "", per_client: bool = True
    ) -> None:
        if "mlflow" not in sys.modules and find_spec("mlflow") is None:
            raise InvalidParameters("MLflow is not installed; pip install 'flstore[mlflow]'")
        self._experiment = experiment
        self._tracking_uri = tracking_uri
        self._run_id = run_id or _active_run()
        self._per_client = per_client
        self._runs: dict[tuple[str, ...], Run] = {}
        self._lock = threading.Lock()

    def track(self, store: FLStore, job: str, *, ended: bool = True) -> Exported:
        """Write the committed rounds of a job that its run lacks.

        Args:
            ended: whether the job's training is over, and so is its run.

        Raises:
            Unavailable: if MLflow did not take something; what it took stays, and the next call goes on from there.
            NotFound: if there is no such job.
        """
        info = store.job(job)
        committed = [each.round for each in store.rounds(job) if each.committed]
        with self._lock, _translated():
            run = self._run(store, info)
            if not (ended or self._run_id):
                run.begin()
            written = list(self._write(run, store, job, committed))
            if ended and not self._run_id:
                run.end(written[-1].at_ms if written else None)
        return Exported(run.run_id, run.experiment_id, tuple(entry.number for entry in written))

    def _write(self, run: "Run", store: FLStore, job: str, rounds: Iterable[int]) -> Iterator[Entry]:
        """Write the rounds that a run lacks, and yield those whose metrics it lacked.

        Documents go to another place than metrics, often one that is set up badly: metrics do not wait for them.
        """
        problem: Exception | None = None
        for number in rounds:
            is_measured = run.has_numbers(number)
            if is_measured and (problem or run.has_document(number)):
                continue
            entry = entry_of(store.round(job, number), job, _without_user(store.url), per_client=self._per_client)
            if not is_measured:
                run.measure(entry)
                yield entry
            try:
                if problem is None:
                    run.document(entry)
            except Exception as error:  # of the library of any store for artifacts
                problem = error
        if problem:
            raise problem

    def _run(self, store: FLStore, info: JobInfo) -> "Run":
        """Return the run of a job, with the tags by which it is found."""
        marks = {JOB: encode(info.job), CREATED: str(info.created_at)}
        if run := self._runs.get(tuple(marks.values())):
            return run
        from flstore_core.integrations.mlflow.run import Run

        client = _client(self._tracking_uri)
        run = Run(client, self._run_id or self._find(client, marks) or self._create(client, info))
        for tag, value in marks.items():
            if run.tags.get(tag, value) != value:
                raise InvalidParameters(
                    f"run {run.run_id} has {tag} {run.tags[tag]!r}, not {value!r}; name another run"
                )
        run.tag({**marks, STORE: _without_user(store.url)})
        self._runs[tuple(marks.values())] = run
        return run

    def _find(self, client: Any, marks: Mapping[str, str]) -> str:
        """Return the run of a job that the experiment has; empty if it has none."""
        query = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in marks.items())
        runs = client.search_runs([self._experiment_id(client)], query, max_results=1, order_by=["start_time ASC"])
        return runs[0].info.run_id if runs else ""

    def _create(self, client: Any, info: JobInfo) -> str:
        created_ms = round((info.created_at or 0.0) * 1000)
        run = client.create_run(self._experiment_id(client), created_ms or None, run_name=decode(info.job))
        return str(run.info.run_id)

    def _experiment_id(self, client: Any) -> str:
        """Return the experiment's id; make the experiment if there is none of its name."""
        if not self._experiment and (set_to := os.environ.get("MLFLOW_EXPERIMENT_ID")):  # `mlflow.set_experiment` too
            return set_to
        name = self._experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"
        experiment = client.get_experiment_by_name(name)
        return str(experiment.experiment_id if experiment else client.create_experiment(name))


def _active_run() -> str:
    """Return the run that is active in this thread; empty if there is none, as wherever MLflow is not imported."""
    mlflow = sys.modules.get("mlflow")
    run = mlflow.active_run() if mlflow else None
    return str(run.info.run_id) if run else ""


def _client(tracking_uri: str | None) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri)


def _without_user(url: str) -> str:
    """Return an address without the user and password that it may name."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FLStoreError:
        raise
    except Exception as error:  # of MLflow, of what it reaches its server by, of its database
        raise Unavailable(f"MLflow does not take what is to be tracked: {error}") from error
