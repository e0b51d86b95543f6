"""A training's rounds through the HTTP API: clients' updates side by side, then the aggregate, then the commit."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flstore_core.client import FLStore
from loadgen.demo.training import TrainedRound, Training


def ingest(client: FLStore, job: str, training: Training, after_round: Callable[[TrainedRound], None]) -> None:
    """Create `job`, store the initial model as round 0's aggregate, and train rounds 1, 2, … into it."""
    setup = training.setup
    client.create_job(job, like=training.initial, clients_per_round=setup.clients_per_round)
    client.put_aggregate(job, 0, training.initial)
    client.commit(job, 0, hyperparameters=setup.hyperparameters)
    with ThreadPoolExecutor(setup.clients_per_round, thread_name_prefix="client") as pool:
        for trained in training.rounds():
            put = [
                pool.submit(client.put_update, job, trained.number, each.client, each.arrays, metrics=each.metrics)
                for each in trained.updates
            ]
            for upload in put:
                upload.result()
            client.put_aggregate(job, trained.number, trained.aggregate)
            client.commit(job, trained.number, metrics=trained.metrics, hyperparameters=setup.hyperparameters)
            after_round(trained)
