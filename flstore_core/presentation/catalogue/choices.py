"""Whom to ask next: the clients that a schedule chose for a round."""

from collections.abc import Mapping, Sequence

from flstore_core.presentation.base import Answer, Listing, Row, View
from flstore_core.presentation.words import counted, listed


def _next(chosen: Sequence[str], everyone: int) -> str:
    return f"Next round: {listed(chosen) or 'nobody'} ({len(chosen):,} of {counted(everyone, 'client')})"


def _by_accuracy(answer: Answer) -> str:
    return _next(answer["chosen"], len(answer["ranking"]))


def _by_clusters(answer: Answer) -> str:
    everyone = sum(len(tier["clients"]) for tier in answer["tiers"])
    return f"{_next(answer['chosen'], everyone)}, from tier {answer['tier']} of {len(answer['tiers'])}"


def _by_performance(answer: Answer) -> str:
    chosen = [row["client"] for row in answer["chosen"]]
    new = [row["client"] for row in answer["chosen"] if row["why"] == "explore"]
    explored = f"; new among them: {listed(new)}" if new else ""
    return f"{_next(chosen, len(_candidates(answer)))}{explored}"


def _tiers(answer: Answer) -> list[Row]:
    return [
        {"tier": index, "size": len(row["clients"]), "drawn": index == answer["tier"], **row}
        for index, row in enumerate(answer["tiers"])
    ]


def _clusters(answer: Answer) -> list[Row]:
    return [{"cluster": index, "size": len(each), "clients": each} for index, each in enumerate(answer["clusters"])]


def _candidates(answer: Answer) -> list[Row]:
    """Return all candidates with why they were chosen, the chosen first and in the order of choice."""
    why = {row["client"]: row["why"] for row in answer["chosen"]}
    known = {row["client"]: row for row in answer["candidates"]}
    return [{"client": each, "chosen": why.get(each), **known.get(each, {})} for each in {**why, **known}]


VIEWS: Mapping[str, View] = {
    "schedule-accuracy": View(
        _by_accuracy,
        [Listing("ranking", ["client", "chosen", "loss", "accuracy"], title="ranking, the most preferred first")],
        ["chosen"],
    ),
    "schedule-clusters": View(
        _by_clusters,
        [
            Listing(
                "tiers",
                ["tier", "size", "drawn", "probability", "mean_duration_s", "clients"],
                title="tiers, the fastest first",
                rows=_tiers,
            ),
            Listing("clusters", ["cluster", "size", "clients"], title="clients with similar updates", rows=_clusters),
        ],
        ["tier"],
    ),
    "schedule-performance": View(
        _by_performance,
        [
            Listing(
                "candidates",
                ["client", "chosen", "utility", "statistical", "duration_s", "system", "last_round"],
                title="candidates, the chosen first",
                rows=_candidates,
                also=["chosen"],
            ),
        ],
    ),
}
