"""Rounds of FLStore in MLflow: steps of a run, beside whatever else a team tracks there.

`MLflow` follows a training that is recorded, or takes over a job that is stored (`flstore export mlflow JOB`). Each job
is one run, which is found again by its tags, and a round that a run has is not written once more.

- `entries`: what MLflow is told of a round. Decides; knows no MLflow.
- `keys`: names that MLflow takes.
- `run`: the calls that fill one run.
- `tracker`: which run that is, and which rounds it lacks.
"""

from flstore_core.integrations.mlflow.tracker import Exported, MLflow

__all__ = ["Exported", "MLflow"]
