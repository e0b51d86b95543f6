"""Planted groups of clients against the groups found, and a client with noisy labels against its contribution."""

from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from flstore_core.workloads.clustering import Clustering
from flstore_core.workloads.contribution import MeasureContribution
from tests.truth.trainings import LEARNING, SEEDS
from tests.workloads.federated import Setting, train
from tests.workloads.rounds import ask, make_round

CONTRIBUTIONS = ("alignment", "shapley", "leave-one-out")
METHODS = ("kmeans", "agglomerative", "cfl")
NOISY = 3


def rand_index(method: str, alpha: float, seed: int, rounds: int = 10, **changes: Any) -> float:
    """Return the mean adjusted Rand index over a training's rounds of 12 out of 24 clients in three groups."""
    setting = Setting(clients=24, per_round=12, rounds=rounds, alpha=alpha, groups=3, seed=seed, **changes)
    scores = []
    for trained in train(setting):
        answer = ask(Clustering(), make_round(trained.deltas), method=method)
        planted = [client % setting.groups for client in trained.clients]
        scores.append(adjusted_rand_score(planted, list(answer.labels.values())))
    return float(np.mean(scores))


def rank_of_noisy(method: str, alpha: float, seed: int, rounds: int = 10, **changes: Any) -> int:
    """Return how many of ten clients contributed more, all rounds added up, than one with shuffled labels; 9: it is
    the last.
    """
    setting = Setting({NOISY: "noisy-labels"}, clients=10, rounds=rounds, alpha=alpha, seed=seed, **changes)
    totals = dict.fromkeys(range(10), 0.0)
    for trained in train(setting):
        data = make_round(
            trained.deltas, [str(client) for client in trained.clients], examples=trained.examples.tolist()
        )
        for part in ask(MeasureContribution(), data, method=method).contributions:
            totals[int(part.client)] += part.value
    return sum(value > totals[NOISY] for value in totals.values())


def group_row(learning: str, alpha: float) -> list[str]:
    """Return the table's row on planted groups: each method's mean over seeds."""
    found = []
    for method in METHODS:
        scores = [rand_index(method, alpha, seed, **LEARNING[learning]) for seed in SEEDS]
        found.append(f"{np.mean(scores):.2f}")
    return [learning, f"{alpha:g}", *found]


def noisy_row(learning: str, alpha: float) -> list[str]:
    """Return the table's row on the client with shuffled labels: its rank by each method, one for each seed."""
    ranks = [[rank_of_noisy(method, alpha, seed, **LEARNING[learning]) for seed in SEEDS] for method in CONTRIBUTIONS]
    return [learning, f"{alpha:g}", *(", ".join(map(str, each)) for each in ranks)]
