"""One run of MLflow, and what it has been told.

A run says itself which rounds it has: by the steps of one metric, and by one document for each round. Whoever opens it
again, in another process too, goes on where it was.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from flstore_core.integrations.mlflow.entries import UPDATES, Entry
from flstore_core.integrations.mlflow.keys import key_of

AGGREGATE = "flstore.aggregate"
"""The tag with the SHA-256 of the newest aggregate."""
FOLDER = "rounds"
"""The folder of the rounds' documents, among a run's artifacts."""

_METRICS, _OTHERS = 1000, 100
"""Most metrics, and most tags or parameters, that MLflow takes at once."""


class Run:
    """Fills a run.

    Args:
        run_id: of a run that exists.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id = run_id
        run = client.get_run(run_id)
        self.experiment_id: str = run.info.experiment_id
        self.tags: Mapping[str, str] = run.data.tags
        self._status = run.info.status
        self._parameters = set(run.data.params)
        self._accused = {key: numbers_in(text) for key, text in self.tags.items() if key.startswith("accused/")}
        self._measured = {metric.step for metric in client.get_metric_history(run_id, UPDATES)}
        self._documented = {
            number for file in client.list_artifacts(run_id, FOLDER) for number in numbers_in(file.path)
        }

    def has_numbers(self, number: int) -> bool:
        """Return whether a round's metrics are written."""
        return number in self._measured

    def has_document(self, number: int) -> bool:
        """Return whether a round's document is written."""
        return number in self._documented

    def document(self, entry: Entry) -> None:
        """Write a round's document."""
        self._client.log_dict(self.run_id, dict(entry.document), f"{FOLDER}/{entry.number}.json")
        self._documented.add(entry.number)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._log(tags=[RunTag(key, value) for key, value in tags.items()])

    def begin(self) -> None:
        """Say that the training goes on."""
        if self._status != "RUNNING":
            self._client.update_run(self.run_id, "RUNNING")
            self._status = "RUNNING"

    def end(self, at_ms: int | None) -> None:
        """Say that the training is over, since a time or since now, unless the run says so."""
        if self._status != "FINISHED" or at_ms is not None:
            self._client.set_terminated(self.run_id, "FINISHED", at_ms)
            self._status = "FINISHED"

    def measure(self, entry: Entry) -> None:
        """Write a round's metrics, and last the metric by which it is known that all were written."""
        for client in entry.accused:
            self._accused.setdefault(key_of("accused", client), set()).add(entry.number)
        accused = {key_of("accused", client) for client in entry.accused}
        tags = {key: f"rounds {', '.join(map(str, sorted(self._accused[key])))}"[:5000] for key in accused}
        if aggregate := entry.document.get("aggregate"):
            tags[AGGREGATE] = aggregate["sha256"]
        new = {name: value for name, value in entry.parameters.items() if name not in self._parameters}
        self._log(
            metrics=[
                Metric(name, value, entry.at_ms, entry.number)
                for name, value in sorted(entry.metrics.items(), key=lambda metric: metric[0] == UPDATES)
            ],
            params=[Param(name, value[:500]) for name, value in new.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        self._parameters |= set(new)
        self._measured.add(entry.number)

    def _log(
        self, metrics: Collection[Metric] = (), params: Collection[Param] = (), tags: Collection[RunTag] = ()
    ) -> None:
        """Write in batches that MLflow takes, metrics last."""
        for batch in _batches(tags, _OTHERS):
            self._client.log_batch(self.run_id, tags=batch)
        for batch in _batches(params, _OTHERS):
            self._client.log_batch(self.run_id, params=batch)
        for batch in _batches(metrics, _METRICS):
            self._client.log_batch(self.run_id, metrics=batch)


def numbers_in(text: str) -> set[int]:
    """Return the whole numbers in a text."""
    return {int(digits) for digits in re.findall(r"\d+", text)}


def _batches(values: Iterable[Any], most: int) -> Iterable[list[Any]]:
    rest = iter(values)
    while batch := list(islice(rest, most)):
        yield batch
