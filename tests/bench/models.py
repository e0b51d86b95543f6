"""Evaluating ten models through the whole system, against a bare PyTorch loop over ten modules on the same data."""

import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import numpy as np
import torch
from torch import Tensor, nn

from tests.bench.row import Row, seconds
from tests.bench.system import System, flstore, s3
from tests.models.fixtures import job_of, put_dataset, put_round
from tests.models.networks import ResNet, exported
from tests.running.jobs import JobOverHttp

MODELS = 10
ROWS = 128
BATCH = 64
WIDTHS = (32, 64, 128)
TIMES = 5


def rows() -> Iterator[Row]:
    """Yield the ratio of an `evaluate` over HTTP, all models cached, to the loop that is left when all else is gone.

    Both get one core for PyTorch: with more, what is measured is how OpenMP's threads fare beside other processes.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    os.environ["FLSTORE_TORCH_THREADS"] = "1"
    modules = [ResNet(WIDTHS).eval() for _ in range(MODELS)]
    images, targets = torch.randn(ROWS, 3, 32, 32), torch.randint(0, 10, (ROWS,))
    with s3() as server, flstore(server, "models") as system:
        job = _stored(system, modules, images, targets)
        found: list[Mapping[str, Any]] = []
        found.append(_evaluate(job))
        pairs = [
            (seconds(lambda: found.append(_evaluate(job))), seconds(lambda: _loop(modules, images, targets)))
            for _ in range(TIMES)
        ]
        ours, bare = (statistics.median(each) for each in zip(*pairs, strict=True))
    losses = [each["loss"] for each in found[-1]["result"]["models"]]
    assert np.allclose(losses, _loop(modules, images, targets), rtol=1e-4)
    compute = found[-1]["execution"]["shard_compute_ms"]
    note = f"{1e3 * ours:.0f} ms, of which the predictor {compute:.0f}; the loop {1e3 * bare:.0f} ms"
    yield Row("evaluate_10_models_vs_torch", ours / bare, "x", 1.2, "lower", note)


def _loop(modules: Sequence[nn.Module], images: Tensor, targets: Tensor) -> list[float]:
    """Return each module's mean loss; counts what is met too, as an evaluation would."""
    losses = []
    with torch.inference_mode():
        for module in modules:
            total, met = 0.0, 0
            for start in range(0, len(images), BATCH):
                logits, wanted = module(images[start : start + BATCH]), targets[start : start + BATCH]
                total += float(nn.functional.cross_entropy(logits, wanted, reduction="sum"))
                met += int((logits.argmax(1) == wanted).sum())
            losses.append(total / len(images))
    return losses


def _evaluate(job: JobOverHttp) -> Mapping[str, Any]:
    answer = job.http.post(
        f"{job.url}/workloads/evaluate",
        json={"round": 1, "batch_size": BATCH, "aggregate": False},
        headers={"cache-control": "no-cache"},
    )
    assert answer.status_code == 200, answer.text
    found: Mapping[str, Any] = answer.json()
    return found


def _stored(system: System, modules: Sequence[nn.Module], images: Tensor, targets: Tensor) -> JobOverHttp:
    http = httpx.Client(base_url=system.url, timeout=300.0)
    state = modules[0].state_dict()
    job = job_of(http, state)
    put_round(job, 1, {f"c{index}": module.state_dict() for index, module in enumerate(modules)}, state)
    program = exported(ResNet(WIDTHS), images[:4])
    assert http.put(f"{job.url}/model", content=program).status_code == 201
    put_dataset(job, "test", {"inputs": images.numpy(), "targets": targets.numpy()})
    return job
