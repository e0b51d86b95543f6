"""`flstore demo-models`: federated training in PyTorch, and the workloads that run models."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from flstore_core.cli.session import json_option, reported, to_json
from flstore_core.client import FLStore
from flstore_core.errors import NoPredictor
from services.local.running import running

JOB, TEST = "digits", "test"
PROMPT = [3, 1, 4, 1, 5]


@click.command("demo-models")
@json_option
def demo_models_command(as_json: bool) -> None:
    """Train in PyTorch, one client on noise, and ask everything that needs a model.

    Needs `flstore-server[torch,demo]`: PyTorch, kserve and scikit-learn.
    """
    with reported(as_json):
        try:
            from loadgen.demo import models_training
        except ImportError as error:
            raise NoPredictor(f"{error.name} is missing; pip install 'flstore-server[torch,demo]'") from error
        with tempfile.TemporaryDirectory(prefix="flstore-demo-", ignore_cleanup_errors=True) as name:
            store, log = str(Path(name) / "store"), Path(name) / "log"
            with running(store, shards=1, log=log) as (url, _), FLStore(url, timeout=300) as client:
                models_training.store_digits(client, JOB, TEST)
                models_training.store_language_model(client, "language")
                rows = list(_asked(client))
    if as_json:
        click.echo(to_json(rows))
        return
    table = Table("workload", "ms", "answer", title=f"{models_training.FAULTY} was trained on noise")
    for row in rows:
        table.add_row(row["workload"], f"{row['ms']:.0f}", row["answer"])
    Console().print(table)


def _asked(client: FLStore) -> Iterator[dict[str, Any]]:
    """Ask each workload and yield what it said in a line."""
    yield _row(client, JOB, "inference", _inferred, dataset=TEST, rows=1)
    yield _row(client, JOB, "evaluate", _evaluated, dataset=TEST)
    yield _row(client, JOB, "schedule-accuracy", lambda r: f"next: {', '.join(r['chosen'])}", dataset=TEST, k=3)
    yield _row(client, JOB, "debug", lambda r: f"faulty: {', '.join(r['faulty']) or 'nobody'}", inputs=20, dataset=TEST)
    yield _row(client, JOB, "contribution-evaluated", _worst, dataset=TEST, utility="loss", permutations=16)
    yield _row(client, "language", "llm-inference", _continued, prompts=[PROMPT], max_new_tokens=8)


def _row(client: FLStore, job: str, workload: str, line: Any, **params: Any) -> dict[str, Any]:
    started = perf_counter()
    result = client.run(job, workload, **params).result
    return {"workload": workload, "ms": 1e3 * (perf_counter() - started), "answer": line(result), "result": result}


def _inferred(result: Any) -> str:
    scores = result["outputs"][0]["data"]
    return f"a {scores.index(max(scores))}, says the aggregate of round {result['model_version']}"


def _evaluated(result: Any) -> str:
    accuracies = ", ".join(f"{each['model']} {each['accuracy']:.0%}" for each in result["models"])
    return f"accuracy {accuracies}"


def _worst(result: Any) -> str:
    least = result["shares"][-1]
    return f"least: {least['client']} ({least['value']:+.3f})"


def _continued(result: Any) -> str:
    return f"{PROMPT} → {result['continuations'][0]['tokens']}"
