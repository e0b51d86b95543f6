"""Cosine similarity of updates, between clients and with the aggregate.

The pairwise measure behind similarity-based filtering and clustering in FL (Sattler et al. 2020, arXiv 1910.01991).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flstore_core.workloads import Context, Needs, Partial, Pattern, Result, RoundIndex, RoundParams, one_round
from flstore_core.workloads.methods.geometry import cosines, norms, similarity_to


@dataclass(frozen=True)
class CosineSimilarityResult(Result):
    """How alike the updates of a round are, as directions. A zero update is similar to nothing: 0 throughout."""

    round: int
    """The round answered for."""
    clients: list[str]
    """Order of the rows and columns."""
    matrix: list[list[float]]
    """Cosine similarity between clients' deltas."""
    with_aggregate: list[float]
    """Cosine similarity of each client's delta with the aggregate's."""
    norms: list[float]
    """Euclidean length of each client's delta."""
    aggregate: str
    """`stored` if the round's aggregate was stored; `fedavg` if the mean by num_examples stands in for it."""


class CosineSimilarity:
    """How alike the clients' updates of a round are, among each other and with the aggregate."""

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
        chosen = data.deltas(params.clients)
        everyone, weights = data.aggregate()
        aligned = dict(zip(everyone.members, similarity_to(everyone.gram, weights).tolist(), strict=True))
        return CosineSimilarityResult(
            round=data.record.number,
            clients=list(chosen.members),
            matrix=cosines(chosen.gram).tolist(),
            with_aggregate=[aligned[client] for client in chosen.members],
            norms=norms(chosen.gram).tolist(),
            aggregate="stored" if data.stores_aggregate else "fedavg",
        )
