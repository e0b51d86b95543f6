"""Planted groups of clients compared with the groups found, and the contribution of a client with noisy labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from flstore_core.workloads.clustering import Clustering
from flstore_core.workloads.contribution import Contribution
from tests.truth.trainings import LEARNING, SEEDS
from tests.workloads.federated import Setting, train
from tests.workloads.rounds import ask, make_round

CONTRIBUTIONS = ("alignment", "shapley", "leave-one-out")
METHODS = ("kmeans", "agglomerative", "cfl")
NOISY = 3


def rand_indices(alpha: float, seed: int, rounds: int = 10, **changes: Any) -> Mapping[str, float]:
    """Return each method's mean adjusted Rand index over rounds of 12 out of 24 clients in three groups."""
    setting = Setting(clients=24, per_round=12, rounds=rounds, alpha=alpha, groups=3, seed=seed, **changes)
    scores: dict[str, list[float]] = {method: [] for method in METHODS}
    for trained in train(setting):
        planted = [client % setting.groups for client in trained.clients]
        for method in METHODS:
            answer = ask(Clustering(), make_round(trained.deltas), method=method)
            scores[method].append(adjusted_rand_score(planted, list(answer.labels.values())))
    return {method: float(np.mean(found)) for method, found in scores.items()}


def ranks_of_noisy(alpha: float, seed: int, rounds: int = 10, **changes: Any) -> Mapping[str, int]:
    """Return, by method, how many of ten clients contributed more over all rounds than the one with shuffled labels.

    At 9 that client is the last.
    """
    setting = Setting({NOISY: "noisy-labels"}, clients=10, rounds=rounds, alpha=alpha, seed=seed, **changes)
    totals = {method: dict.fromkeys(range(10), 0.0) for method in CONTRIBUTIONS}
    for trained in train(setting):
        names = [str(client) for client in trained.clients]
        data = make_round(trained.deltas, names, examples=trained.examples.tolist())
        for method, sums in totals.items():
            for part in ask(Contribution(), data, method=method).contributions:
                sums[int(part.client)] += part.value
    return {method: sum(value > sums[NOISY] for value in sums.values()) for method, sums in totals.items()}


def group_row(learning: str, alpha: float) -> list[str]:
    """Return the table's row on planted groups: each method's mean over seeds."""
    indices = [rand_indices(alpha, seed, **LEARNING[learning]) for seed in SEEDS]
    means = [np.mean([by_method[method] for by_method in indices]) for method in METHODS]
    return [learning, f"{alpha:g}", *(f"{mean:.2f}" for mean in means)]


def noisy_row(learning: str, alpha: float) -> list[str]:
    """Return the table's row on the client with shuffled labels: its rank by each method, one for each seed."""
    by_seed = [ranks_of_noisy(alpha, seed, **LEARNING[learning]) for seed in SEEDS]
    ranks = [", ".join(str(by_method[method]) for by_method in by_seed) for method in CONTRIBUTIONS]
    return [learning, f"{alpha:g}", *ranks]
