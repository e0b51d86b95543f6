"""What MLflow is told of a round: numbers for its charts, who was advised against, and a document with the rest.

Example, of a round in which a client sent its loss, and the server measured the accuracy:

    accuracy                     0.93
    clients/a/loss               0.2
    hyperparameters/lr           0.1
    flstore/updates              1.0

Numbers within objects are told by their path. Text and lists are in the document alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flstore_core.client import paths
from flstore_core.ids import decode
from flstore_core.integrations.mlflow.keys import key_of
from flstore_core.integrations.recorder.advice import ADVICE
from flstore_core.integrations.recorder.desk import RUN
from flstore_core.records import Metrics, Round

UPDATES = "flstore/updates"
"""The metric that every round has, and by which it is known which rounds a run has."""
ACCUSED = "flstore/accused"
"""The metric that counts who was advised against."""


@dataclass(frozen=True)
class Entry:
    """A committed round, as it is written into a run."""

    number: int
    at_ms: int
    """When it was committed, in milliseconds since the epoch."""
    metrics: Mapping[str, float]
    parameters: Mapping[str, str]
    """Its hyperparameters. Those of a run are of its first round that has them: MLflow does not let them change."""
    accused: frozenset[str]
    """The clients whose factor in the advice was 0."""
    document: Mapping[str, Any]
    """What is no number, and where the aggregate is, as JSON."""


def entry_of(record: Round, job: str, url: str, *, per_client: bool) -> Entry:
    """Return what is written of a committed round.

    Args:
        url: of the store, for links.
        per_client: whether the clients' own metrics are.
    """
    accused = _accused(record)
    settings = {name: value for name, value in record.hyperparameters.items() if name != RUN}
    metrics = {
        UPDATES: float(len(record.members)),
        ACCUSED: float(len(accused)),
        **dict(_numbers({name: value for name, value in record.metrics.items() if name != ADVICE})),
        **dict(_numbers(settings, "hyperparameters")),
    }
    if per_client:
        for member in record.members:
            metrics |= _numbers(member.metrics, "clients", decode(member.client))
    parameters = {key_of(name): str(value) for name, value in settings.items()}
    at_ms = round((record.committed_at or 0.0) * 1000)
    return Entry(record.number, at_ms, metrics, parameters, accused, _document(record, job, url))


def _accused(record: Round) -> frozenset[str]:
    advice = record.metrics.get(ADVICE)
    advised = advice.get("advised") if isinstance(advice, Mapping) else None
    if not isinstance(advised, Mapping):
        return frozenset()
    return frozenset(decode(str(client)) for client, factor in advised.items() if factor == 0.0)


def _numbers(metrics: Metrics, *path: str) -> Iterator[tuple[str, float]]:
    """Yield the numbers among metrics that float64 has room for, by the keys that MLflow takes."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, *path, name)
        elif isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 1023):
            yield key_of(*path, name), float(value)


def _document(record: Round, job: str, url: str) -> dict[str, Any]:
    document = {
        "job": decode(job),
        "round": record.number,
        "base": record.base,
        "committed_at": record.committed_at,
        "metrics": dict(record.metrics),
        "hyperparameters": dict(record.hyperparameters),
    }
    if aggregate := record.aggregate:
        document["aggregate"] = {
            "sha256": aggregate.sha256,
            "nbytes": aggregate.nbytes,
            "href": url + paths.aggregate(job, record.number),
        }
    return document
