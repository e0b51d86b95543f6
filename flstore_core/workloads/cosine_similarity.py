"""How similar the updates of a round are in direction, among each other and to the aggregate.

The cosine similarity of two deltas is ⟨a, b⟩ / (|a| |b|): 1 for the same direction, 0 for orthogonal ones, -1 for
opposite ones. It is the measure behind similarity-based filtering and clustering of clients (Sattler et al. 2020, arXiv
1910.01991). (3, 0) and (1, 1) have a similarity of 3 / (3 √2) = 0.707.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flstore_core.workloads import (
    Context,
    Needs,
    Partial,
    Pattern,
    RoundIndex,
    RoundParams,
    Weighted,
    one_round,
    unweighted,
)
from flstore_core.workloads.methods.geometry import cosines, norms, similarity_to


@dataclass(frozen=True)
class CosineSimilarityResult(Weighted):
    """Cosine similarities of the deltas of a round, -1 to 1. Those of a zero delta are all 0, its own included."""

    round: int
    """The round that was read."""
    clients: list[str]
    """The clients, in the order of the rows and columns of `matrix`."""
    matrix: list[list[float]]
    """Cosine similarity of each pair of clients' deltas."""
    with_aggregate: list[float]
    """Cosine similarity of each client's delta with the aggregate's delta."""
    norms: list[float]
    """Euclidean length of each client's delta."""
    aggregate: str
    """`stored` if the round's own aggregate was used; `fedavg` if the mean of all its updates, by their clients'
    weights, was used instead: the round stores none, or its updates are differences and it has no base to take
    the aggregate's from."""


class CosineSimilarity:
    """How similar the updates of a round are in direction, among each other and to the aggregate."""

    name = "cosine-similarity"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = "Sattler, Müller, Samek 2020, Clustered Federated Learning, arXiv:1910.01991"
    params = RoundParams
    result = CosineSimilarityResult

    def select(self, params: RoundParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: RoundParams) -> CosineSimilarityResult:
        data = context.round
        deltas = data.deltas(params.clients)
        models, weights = data.aggregate()
        to_aggregate = dict(zip(models.members, similarity_to(models.gram, weights).tolist(), strict=True))
        return CosineSimilarityResult(
            round=data.record.number,
            clients=list(deltas.members),
            matrix=cosines(deltas.gram).tolist(),
            with_aggregate=[to_aggregate[client] for client in deltas.members],
            norms=norms(deltas.gram).tolist(),
            aggregate="stored" if data.stores_aggregate else "fedavg",
            unweighted=[] if data.stores_aggregate else unweighted(data.record.members),
        )
